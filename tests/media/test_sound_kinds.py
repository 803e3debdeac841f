"""Sounds as recorders, telephones and laboratories write them: at their time, whole or said."""

import struct

import av
import numpy as np
import pytest

from tests.media.films_made import read_click_s, write_film, write_joined
from triaffect.errors import MediaError
from triaffect.media.audio import read_sound
from triaffect.media.probe import probe
from triaffect.types import SourceKind

RATE, CLICK_S, SECONDS = 16_000, 0.8, 2.0
GUID = bytes.fromhex("0100000000001000800000aa00389b71")
"""What follows the number of a form in a WAV that is extensible."""


def click():
    samples = np.zeros(round(SECONDS * RATE))
    samples[round(CLICK_S * RATE) :][: RATE // 100] = 0.8
    return samples


def write_click(path, codec, rate=RATE, layout="mono", **options):
    """Two seconds with a click at 0.8 s."""
    return write_film(
        path, None, sound=(codec, rate, layout), frames=50, click_s=CLICK_S, **options
    )


def chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def wav(data, kind, bits, before=b"", behind=b"", extension=b""):
    width = (bits + 7) // 8
    head = struct.pack("<HHIIHH", kind, 1, RATE, RATE * width, width, width * 8) + extension
    body = b"WAVE" + before + chunk(b"fmt ", head) + chunk(b"data", data) + behind
    return b"RIFF" + struct.pack("<I", len(body)) + body


def read(path):
    """What a sound is: its samples, losses, doubts."""
    media = probe(path)
    assert media.kind is SourceKind.SOUND
    sound = np.concatenate([np.empty(0, np.float32), *media.sound(RATE)])
    return sound, media.problem, media.remark


def check_click(path, seconds=SECONDS, late_s=0.0, remark=None):
    sound, problem, said = read(path)
    assert (problem, said) == (None, remark)
    assert len(sound) / RATE == pytest.approx(seconds, abs=0.06)
    assert read_click_s(sound) == pytest.approx(CLICK_S + late_s, abs=0.02)


def whole(bits):
    return np.round(click() * (2 ** (bits - 1) - 1)).astype("<i4")


WAVS = {
    "24 bits": lambda: wav(whole(24).view("u1").reshape(-1, 4)[:, :3].tobytes(), 1, 24),
    "24 bits, extensible": lambda: wav(
        whole(24).view("u1").reshape(-1, 4)[:, :3].tobytes(), 0xFFFE, 24,
        extension=struct.pack("<HHI", 22, 24, 4) + GUID,
    ),
    "12 bits in 16": lambda: wav(
        (whole(12) * 16).astype("<i2").tobytes(), 0xFFFE, 16,
        extension=struct.pack("<HHI", 22, 12, 4) + GUID,
    ),
    "broadcast, with a history": lambda: wav(
        whole(16).astype("<i2").tobytes(), 1, 16,
        before=chunk(b"bext", bytes(603)) + chunk(b"iXML", b"<x/>"),
        behind=chunk(b"LIST", b"INFOINAM" + bytes(9)),
    ),
    "big-endian": lambda: b"".join([
        struct.pack(">4sI4s4sIHHIIHH4sI", b"RIFX", 64_036, b"WAVE", b"fmt ", 16, 1, 1, RATE,
                    2 * RATE, 2, 16, b"data", 64_000),
        whole(16).astype(">i2").tobytes(),
    ]),
    "levels far over 1": lambda: wav((click() * 1000).astype("<f4").tobytes(), 3, 32),
}  # fmt: skip


@pytest.mark.parametrize("kind", WAVS)
def test_wavs_of_recorders(tmp_path, kind):
    (tmp_path / "a.wav").write_bytes(WAVS[kind]())
    check_click(tmp_path / "a.wav")
    assert np.abs(read_sound(tmp_path / "a.wav", RATE)).max() == pytest.approx(0.9, abs=0.11)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "options"),
    [
        ("rf64.wav", "pcm_s16le", RATE, {"options": {"rf64": "always"}}),
        ("ima.wav", "adpcm_ima_wav", RATE, {}),
        ("ms.wav", "adpcm_ms", RATE, {}),
        ("g726.wav", "g726", 8000, {}),
        ("float.aiff", "pcm_f32be", RATE, {}),
        ("sowt.aiff", "pcm_s16le", RATE, {"form": "aiff"}),
        ("a.amr", "libopencore_amrnb", 8000, {}),
        ("a.wv", "wavpack", RATE, {}),
        ("a.tta", "tta", RATE, {}),
        ("a.g722", "g722", RATE, {}),
        ("a.voc", "pcm_u8", RATE, {}),
        ("a.oga", "flac", RATE, {}),
        ("whatsapp.opus", "libopus", RATE, {}),
        ("narrow.ogg", "libopus", 8000, {}),
        ("8.mp3", "libmp3lame", 8000, {}),
        ("11.mp3", "libmp3lame", 11_025, {}),
        ("24.mp3", "libmp3lame", 24_000, {}),
        ("fast.wav", "pcm_s16le", 384_000, {}),
        ("slow.wav", "pcm_s16le", 1000, {}),
    ],
)
def test_sounds_of_telephones_and_programs(tmp_path, name, codec, rate, options):
    check_click(write_click(tmp_path / name, codec, rate, **options))


@pytest.mark.parametrize("layout", ["2.1", "quad", "5.0", "6.1", "7.1", "16c", "22.2"])
def test_sounds_of_many_channels(tmp_path, layout):
    path = write_click(tmp_path / "a.wav", "pcm_s16le", 48_000, layout)
    check_click(path)


@pytest.mark.parametrize("trouble", ["junk", "large head", "tags", "no head", "from the middle"])
def test_mp3_with_something_in_front_or_behind(tmp_path, trouble):
    options = {"options": {"write_xing": "0"}} if trouble == "no head" else {}
    path = write_click(tmp_path / "a.mp3", "libmp3lame", 44_100, **options)
    content, late_s, seconds = path.read_bytes(), 0.0, SECONDS
    size = bytes([0, 60_000 >> 14, (60_000 >> 7) & 127, 60_000 & 127])
    if trouble == "junk":
        content, late_s = np.random.default_rng(0).bytes(700) + content, 0.025
    elif trouble == "large head":
        content = b"ID3\3\0\0" + size + bytes(60_000) + content
    elif trouble == "tags":
        content += b"APETAGEX" + bytes(2000) + b"TAG" + bytes(125)
    elif trouble == "no head":
        late_s = 0.025  # nothing says how late the encoder is
    else:
        content, seconds, late_s = content[len(content) // 4 :], 1.5, -0.5
    path.write_bytes(content)
    sound, problem, remark = read(path)
    assert (problem, remark) == (None, None)
    assert len(sound) / RATE == pytest.approx(seconds, abs=0.1)
    assert read_click_s(sound) == pytest.approx(CLICK_S + late_s, abs=0.06)


def test_an_au_and_a_flac_of_a_stream_that_say_no_length(tmp_path):
    head = struct.pack(">4sIIIII", b".snd", 24, 2**32 - 1, 3, RATE, 1)
    (tmp_path / "a.au").write_bytes(head + whole(16).astype(">i2").tobytes())
    check_click(tmp_path / "a.au")
    content = bytearray(write_click(tmp_path / "a.flac", "flac").read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    check_click(tmp_path / "a.flac")


@pytest.mark.parametrize("rate", [8000, RATE])
def test_samples_that_are_no_numbers_are_silence_and_told(predictor, tmp_path, rate):
    """They would make every feature after them none, without a word."""
    samples = click()
    samples[100:200] = np.nan
    samples[[300, 301]] = np.inf, -np.inf
    (tmp_path / "a.wav").write_bytes(wav(samples.astype("<f4").tobytes(), 3, 32))
    media = probe(tmp_path / "a.wav")
    sound = np.concatenate(list(media.sound(rate)))
    assert np.isfinite(sound).all()
    assert read_click_s(sound, rate) == pytest.approx(CLICK_S, abs=0.01)
    assert media.remark == "102 samples are no numbers; they are read as silence"
    with pytest.warns(UserWarning, match="102 samples are no numbers"):
        table = predictor.predict(tmp_path / "a.wav")
    assert np.isfinite(table.loc[table["voice_heard"], "valence"]).all()


@pytest.mark.parametrize("ending", ["aac", "mp3"])
@pytest.mark.parametrize("rates", [(RATE, 48_000), (48_000, RATE)])
def test_a_rate_that_changes_within_a_sound_stretches_nothing(tmp_path, ending, rates):
    """Two recordings joined: FFmpeg computes the times of the second by the rate of the first."""
    codec = {"aac": "aac", "mp3": "libmp3lame"}[ending]
    parts = [
        write_click(tmp_path / f"{rate}.{ending}", codec, rate, layout)
        for rate, layout in zip(rates, ("mono", "stereo"), strict=True)
    ]
    sound, problem, _ = read(write_joined(tmp_path / f"a.{ending}", *parts))
    assert problem is None
    assert len(sound) / RATE == pytest.approx(2 * SECONDS, abs=0.2)
    loud = np.flatnonzero(np.abs(sound) > 0.3) / RATE
    assert loud[-1] - loud[0] == pytest.approx(SECONDS, abs=0.15)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wav", "pcm_s16le"), ("a.aiff", "pcm_s16be"), ("a.m4a", "aac"), ("a.tta", "tta"),
     ("a.caf", "pcm_s16le"), ("a.w64", "pcm_s16le"), ("a.voc", "pcm_u8")],
)  # fmt: skip
def test_joined_sounds_of_which_the_first_is_read(tmp_path, name, codec):
    one = write_click(tmp_path / f"one{name[1:]}", codec)
    path = write_joined(tmp_path / name, one, one)
    check_click(path, remark="sounds were joined in one file; only the first of them is read")
    check_click(one)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "libmp3lame"), ("a.flac", "flac"), ("a.ogg", "libopus"), ("a.au", "pcm_s16be"),
     ("a.mka", "flac"), ("a.g722", "g722")],
)  # fmt: skip
def test_joined_sounds_that_are_read_whole(tmp_path, name, codec):
    rate = 48_000 if codec == "libopus" else RATE
    one = write_click(tmp_path / f"one{name[1:]}", codec, rate)
    sound, problem, _ = read(write_joined(tmp_path / name, one, one))
    assert problem is None
    assert len(sound) / RATE == pytest.approx(2 * SECONDS, abs=0.15)
    loud = np.flatnonzero(np.abs(sound) > 0.3) / RATE
    assert loud[[0, -1]] == pytest.approx([CLICK_S, CLICK_S + SECONDS], abs=0.1)


def test_an_ogg_that_goes_on_with_another_codec_is_told(tmp_path):
    one = write_click(tmp_path / "one.ogg", "libopus", 48_000)
    other = write_click(tmp_path / "other.ogg", "flac", form="ogg")
    sound, problem, _ = read(write_joined(tmp_path / "a.ogg", one, other))
    assert len(sound) / RATE == pytest.approx(SECONDS, abs=0.1)
    assert problem is not None
    assert problem.startswith("reading the sound stopped")


@pytest.mark.parametrize("codec", ["libopus", "flac"])
def test_an_ogg_that_is_cut_off_is_told(tmp_path, codec):
    """Within a page, and between two pages, where only the mark of the last one is missing."""
    rate = 48_000 if codec == "libopus" else RATE
    whole = write_click(tmp_path / "whole.ogg", codec, rate, form="ogg")
    sound, problem, remark = read(whole)
    assert (problem, remark) == (None, None)
    data = whole.read_bytes()
    (tmp_path / "within.ogg").write_bytes(data[: len(data) - 40])
    within, problem, _ = read(tmp_path / "within.ogg")
    assert problem == "the sound is cut off within a page of the file"
    assert len(within) < len(sound)
    (tmp_path / "between.ogg").write_bytes(data[: data.rindex(b"OggS")])
    _, problem, remark = read(tmp_path / "between.ogg")
    assert problem is None
    assert remark == "the sound may be cut off: its last page is not marked as the last"


def test_sound_that_overlaps_what_is_before_it_is_told(tmp_path):
    """A recorder whose clock is set back by 0.15 s now and then."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for k in range(20):
            frame = av.AudioFrame.from_ndarray(np.full((1, 4000), 9000, np.int16), "s16", "mono")
            frame.sample_rate = 8000
            for packet in stream.encode(frame):
                packet.pts = packet.dts = k * 2800
                container.mux(packet)
    sound, problem, remark = read(tmp_path / "a.mkv")
    assert problem is None
    assert len(sound) / RATE == pytest.approx(19 * 0.35 + 0.5, abs=0.1)
    assert remark == "2.85 s of the sound overlap what is before them"


@pytest.mark.parametrize("kind", ["<i2", ">i2", "<f4", "u1"])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_without_a_head_are_refused(tmp_path, kind, channels):
    """FFmpeg took some for a sound of a game console, and played noise."""
    samples = np.sin(np.arange(48_000) * 0.2) * 0.5
    scale = {"i2": 32767, "f4": 1, "u1": 100}[kind[-2:]]
    data = np.repeat(samples * scale + (128 if kind == "u1" else 0), channels).astype(kind)
    for name in ("a.raw", "a.pcm", "a.wav"):
        (tmp_path / name).write_bytes(data.tobytes())
        with pytest.raises(MediaError, match=f"{name}: expected"):
            probe(tmp_path / name)

"""Films of odd kinds are read as players show them; what is doubtful is said."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from tests.media.made import (
    FLASH_RATE,
    corners,
    encode,
    flash_and_click,
    quarters,
    speech,
    write_aspect,
    write_tracks,
)
from tests.media.test_audio import write_wav
from triaffect.errors import MediaError
from triaffect.media.audio import read_sound
from triaffect.media.frames_at import FramesAt
from triaffect.media.probe import probe

RATE = 16_000
TURN = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("form", ["mp4", "mkv", "ts", "mov", "avi"])
@pytest.mark.parametrize(
    ("aspect", "matrix", "size"),
    [
        ((64, 45), None, (137, 64)),
        ((4, 3), None, (128, 64)),
        ((8, 9), None, (96, 72)),
        ((4, 3), TURN, (64, 128)),
    ],
)
def test_pixels_that_are_not_square(tmp_path, form, aspect, matrix, size):
    if matrix and form in {"avi", "ts", "mkv"}:
        pytest.skip("the form stores no turn")
    path = write_aspect(tmp_path / f"a.{form}", quarters(96, 64), aspect, matrix)
    media = probe(path)
    frames = list(media.frames())
    assert media.video is not None
    assert (media.video.info.width, media.video.info.height) == size
    assert {frame.rgb.shape for frame in frames} == {(size[1], size[0], 3)}
    assert corners(frames[0].rgb) == ([0, 1, 2, 3] if matrix is None else [2, 0, 3, 1])
    assert media.remark is None
    (still,) = FramesAt(path, [frames[2].time_s])
    assert np.abs(still.rgb.astype(int) - frames[2].rgb).max() < 8


@pytest.mark.parametrize("aspect", [(1, 9), (16, 1)])
def test_impossible_pixels_are_taken_as_square(tmp_path, aspect):
    media = probe(write_aspect(tmp_path / "a.mkv", quarters(96, 64), aspect))
    (rgb, *_) = (frame.rgb for frame in media.frames())
    assert rgb.shape == (64, 96, 3)
    assert media.remark == f"pixels of {aspect[0]}:{aspect[1]} are taken as square"


@pytest.mark.parametrize("aspects", [((4, 3), (64, 45)), ((64, 45), (1, 1))])
def test_pixels_that_change_their_shape_within_a_film(tmp_path, aspects):
    """As where a broadcast goes from a program of 4:3 to one of 16:9: each frame has its own."""
    parts = [
        write_aspect(tmp_path / f"{k}.ts", quarters(96, 64), aspect, frames=25).read_bytes()
        for k, aspect in enumerate(aspects)
    ]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(parts))
    media = probe(path)
    widths = [frame.rgb.shape[1] for frame in media.frames()]
    assert widths == [round(96 * wide / high) for wide, high in aspects for _ in range(25)]
    assert media.remark is not None
    assert media.remark.startswith("its pixels change their shape within the film")


JOINED = {
    "ts": ("libx264", "aac", RATE),
    "mpg": ("mpeg1video", "mp2", 32_000),
}


def flashes_and_clicks(path):
    """Times of the white frames, and of the clicks, in seconds, and the file as read."""
    media = probe(path)
    frames = list(media.frames())
    flashes = [frame.time_s for frame in frames if frame.rgb.mean() > 128]
    sound = np.concatenate([np.empty(0, np.float32), *media.sound(RATE)])
    loud = np.flatnonzero(np.abs(sound) > 0.3) / RATE
    clicks = [time_s for k, time_s in enumerate(loud) if k == 0 or time_s - loud[k - 1] > 0.5]
    return flashes, clicks, len(frames), len(sound) / RATE, media


@pytest.mark.parametrize("form", JOINED)
@pytest.mark.parametrize("clocks_ms", [(0, 1_000_000), (0, 80_000_000), (0, 0), (500_000, 0)])
def test_joined_films_whose_clock_jumps_go_on_without_a_gap(tmp_path, form, clocks_ms):
    """Cat of two films of two seconds each, whatever the clock of the second."""
    if form == "mpg" and max(clocks_ms) > 70_000_000:
        pytest.skip("the clock of a program stream has 33 bits of 1/90,000 s: it cannot say that")
    parts = [
        flash_and_click(tmp_path / f"{k}.{form}", JOINED[form], clock_ms, clock_ms).read_bytes()
        for k, clock_ms in enumerate(clocks_ms)
    ]
    path = tmp_path / f"joined.{form}"
    path.write_bytes(b"".join(parts))
    flashes, clicks, count, sound_s, media = flashes_and_clicks(path)
    assert count == pytest.approx(4 * FLASH_RATE, abs=1)
    assert sound_s == pytest.approx(4, abs=0.3)
    assert len(flashes) == len(clicks) == 2
    assert flashes[1] - flashes[0] == pytest.approx(2, abs=0.15)
    for flash_s, click_s in zip(flashes, clicks, strict=True):
        assert flash_s == pytest.approx(click_s, abs=0.06)
    assert media.problem is None
    assert media.remark is not None
    assert media.remark.count("the clock jumps") == 1
    pictured = list(FramesAt(path, [0.2, *flashes, flashes[1] + 0.4]))
    assert [bool(frame.rgb.mean() > 128) for frame in pictured] == [False, True, True, False]
    assert [frame.time_s for frame in pictured[1:3]] == flashes


def test_a_gap_of_a_recording_that_was_paused_stays(tmp_path):
    path = encode(tmp_path / "a.mkv", [0, 40, 80, 50_000, 50_040], sound_from_ms=0)
    media = probe(path)
    assert [frame.time_s for frame in media.frames()] == [0, 0.04, 0.08, 50, 50.04]
    assert media.remark is None


SILENCE, HUM = np.zeros(3 * RATE), 0.3 * np.sin(2 * np.pi * 220 * np.arange(3 * RATE) / RATE)
NONE, DEFAULT, COMMENT = Disposition(0), Disposition.default, Disposition.comment


@pytest.mark.parametrize(
    ("tracks", "flags", "chosen", "why"),
    [
        ((SILENCE, speech(3)), (NONE, DEFAULT), 2, "the only one that is not silent"),
        ((speech(3), HUM), (NONE, DEFAULT), 2, "the default"),
        ((HUM, speech(3)), (NONE, NONE), 2, "most like a voice"),
        ((HUM, speech(3)), (DEFAULT, DEFAULT), 2, "most like a voice"),
        ((speech(3), HUM), (COMMENT, NONE), 2, "the only one that is not a commentary"),
        ((speech(3), SILENCE), (NONE, DEFAULT), 1, "the only one that is not silent"),
        ((SILENCE, SILENCE), (NONE, NONE), 1, "all are silent at first"),
    ],
)
def test_of_several_sound_tracks(tmp_path, tracks, flags, chosen, why):
    path = write_tracks(tmp_path / "a.mkv", tracks, flags)
    media = probe(path)
    sound = np.concatenate(list(media.sound(RATE)))
    assert np.abs(sound - tracks[chosen - 1]).max() < 1e-3
    assert media.remark == f"of 2 sound tracks, number {chosen} was read: {why}"
    for number in (1, 2):
        media.sound_track = number
        assert np.abs(np.concatenate(list(media.sound(RATE))) - tracks[number - 1]).max() < 1e-3
        assert media.remark is None
    media.sound_track = 3
    with pytest.raises(MediaError, match="expected a sound track from 1 to 2, got 3"):
        list(media.sound(RATE))


@pytest.mark.parametrize(
    ("channels", "cancelled"),
    [
        ((1, -1), True),
        ((1, -0.8), True),
        ((1, 1), False),
        ((1, 0), False),
        ((0, 1), False),
        ((0, 0, 1, 0, 0, 0), False),
    ],
)
def test_channels_of_opposite_sign(tmp_path, channels, cancelled):
    voice = speech(3)
    layout = {2: "stereo", 6: "5.1"}[len(channels)]
    path = write_wav(tmp_path / "a.wav", np.outer(channels, voice), RATE, layout)
    media = probe(path)
    sound = np.concatenate(list(media.sound(RATE)))
    expected = voice if cancelled else voice * np.mean(channels)
    assert np.abs(sound - expected).max() < 1e-3
    remark = "channels of opposite sign cancel out; one of them was read"
    assert media.remark == (remark if cancelled else None)


def test_independent_channels_are_mixed(tmp_path):
    rng = np.random.default_rng(1)
    sounds = rng.normal(0, 0.1, (2, 3 * RATE))
    path = write_wav(tmp_path / "a.wav", sounds, RATE, "stereo")
    assert np.abs(read_sound(path, RATE) - sounds.mean(0)).max() < 1e-3


def lying(path, source, name, offset, layout, factor):
    """A copy of a file with the number behind a name multiplied, wherever the name stands."""
    data, at = bytearray(source.read_bytes()), -1
    while (at := data.find(name, at + 1)) >= 0:
        (value,) = struct.unpack_from(layout, data, at + offset)
        struct.pack_into(layout, data, at + offset, type(value)(value * factor))
    path.write_bytes(data)
    return path


LIES = {
    "mp4": (("libx264", "aac", RATE), b"mvhd", 20, ">I"),
    "mov": (("libx264", "pcm_s16le", RATE), b"mdhd", 20, ">I"),
    "avi": (("mpeg4", "pcm_s16le", RATE), b"strh", 40, "<I"),
    "mkv": (("libx264", "aac", RATE), b"\x44\x89\x88", 3, ">d"),
    "flv": (("libx264", "aac", 44_100), b"duration", 9, ">d"),
}


@pytest.mark.parametrize("form", LIES)
@pytest.mark.parametrize("factor", [0.2, 5])
def test_a_film_whose_header_lies_about_its_length_is_read_whole(tmp_path, form, factor):
    codecs, *where = LIES[form]
    late_ms = 0 if form == "avi" else 480  # it cannot say that
    source = flash_and_click(tmp_path / f"a.{form}", codecs, 0, late_ms)
    flashes, clicks, count, _, media = flashes_and_clicks(
        lying(tmp_path / f"lie.{form}", source, *where, factor)
    )
    assert count == 2 * FLASH_RATE
    assert clicks[0] - flashes[0] == pytest.approx(late_ms / 1000, abs=0.06)
    if factor > 1 and form in {"avi", "flv"}:
        assert "cut off" in (media.problem or "")
    else:
        assert media.problem is None


@pytest.mark.parametrize(("factor", "problem"), [(0.2, False), (0.2, True), (5, True)])
def test_a_sound_whose_header_lies_about_its_length_is_read_whole(tmp_path, factor, problem):
    """The size of the data alone, or that of the file as well."""
    sound = np.random.default_rng(0).normal(0, 0.1, 2 * RATE)
    path = write_wav(tmp_path / "a.wav", sound[None], RATE)
    path = lying(tmp_path / "b.wav", path, b"data", 4, "<I", factor)
    if problem:
        path = lying(tmp_path / "c.wav", path, b"RIFF", 4, "<I", factor)
    media = probe(path)
    read = np.concatenate(list(media.sound(RATE)))
    assert np.abs(read - sound).max() < 1e-3
    if factor > 1:
        assert "the sound is cut off: 2.00 s of 10." in (media.problem or "")
        assert media.remark is None
    else:
        assert media.problem is None
        assert media.remark == "the header declares less sound than the 2.00 s read"


def test_what_follows_the_sound_of_a_wav_is_not_heard(tmp_path):
    sound = np.random.default_rng(0).normal(0, 0.1, RATE)
    path = write_wav(tmp_path / "a.wav", sound[None], RATE)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4000) + bytes(4000))
    media = probe(path)
    assert len(np.concatenate(list(media.sound(RATE)))) == RATE
    assert (media.problem, media.remark) == (None, None)


@pytest.mark.parametrize("form", ["mp4", "mov"])
def test_joined_films_of_which_players_read_the_first(tmp_path, form):
    source = flash_and_click(tmp_path / f"a.{form}", ("libx264", "aac", RATE))
    path = tmp_path / f"joined.{form}"
    path.write_bytes(2 * source.read_bytes())
    media = probe(path)
    assert len(list(media.frames())) == 2 * FLASH_RATE
    assert media.remark == "films were joined in one file; only the first of them is read"
    assert probe(source).remark is None


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mkv", "ffv1", "bgra"),
        ("a.mkv", "ffv1", "yuva420p"),
        ("a.mkv", "ffv1", "yuv444p16le"),
        ("a.mkv", "ffv1", "yuv410p"),
        ("a.mkv", "ffv1", "gbrp10le"),
        ("a.mkv", "libx264", "yuv422p"),
        ("a.mkv", "libx264", "yuv444p10le"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.mpg", "mpeg2video", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj422p"),
        ("a.avi", "huffyuv", "rgb24"),
        ("a.avi", "rawvideo", "bgr24"),
        ("a.mov", "prores", "yuv422p10le"),
        ("a.mov", "qtrle", "rgb24"),
        ("a.flv", "flv", "yuv420p"),
        ("a.wmv", "wmv2", "yuv420p"),
        ("a.ts", "mpeg2video", "yuv420p"),
        ("a.nut", "mpeg4", "yuv420p"),
    ],
)
def test_codecs_and_pixel_formats_come_in_their_colors(tmp_path, name, codec, pix_fmt):
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pix_fmt
        stream.bit_rate = 2_000_000
        for k in range(10):
            frame = av.VideoFrame.from_ndarray(quarters(), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    media = probe(tmp_path / name)
    frames = list(media.frames())
    assert len(frames) == 10
    assert corners(frames[5].rgb) == [0, 1, 2, 3]
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(10) / 25, abs=2e-3)
    assert (media.problem, media.remark) == (None, None)


@pytest.mark.parametrize(
    ("name", "codec", "form", "layout", "rate"),
    [
        ("a.wav", "pcm_u8", "u8", "mono", 8_000),
        ("a.wav", "pcm_s32le", "s32", "stereo", 96_000),
        ("a.wav", "pcm_f32le", "flt", "mono", 44_100),
        ("a.wav", "pcm_f64le", "dbl", "7.1", 48_000),
        ("a.wav", "pcm_alaw", "s16", "mono", 8_000),
        ("a.wav", "pcm_mulaw", "s16", "mono", 8_000),
        ("a.flac", "flac", "s16", "5.1", 48_000),
        ("a.aiff", "pcm_s16be", "s16", "stereo", 22_050),
        ("a.au", "pcm_s16be", "s16", "mono", 11_025),
        ("a.caf", "pcm_s16le", "s16", "mono", 16_000),
        ("a.mka", "ac3", "fltp", "5.1", 48_000),
        ("a.ogg", "libopus", "s16", "stereo", 48_000),
        ("a.mp3", "libmp3lame", "s16p", "stereo", 44_100),
        ("a.m4a", "aac", "fltp", "stereo", 44_100),
        ("a.m4a", "alac", "s16p", "stereo", 44_100),
        ("a.w64", "pcm_s16le", "s16", "mono", 16_000),
    ],
)
def test_sound_formats_are_heard_at_their_time(tmp_path, name, codec, form, layout, rate):
    """Half a second of silence, then a hum of 400 Hz in every channel, at 0.3."""
    time_s = np.arange(2 * rate) / rate
    wave = (0.3 * np.sin(2 * np.pi * 400 * time_s) * (time_s >= 0.5)).astype(np.float32)
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        convert = av.AudioResampler(form, layout, rate)
        channels = stream.codec_context.layout.nb_channels
        for at in range(0, len(wave), 1000):
            part = np.repeat(wave[at : at + 1000], channels)[None]
            frame = av.AudioFrame.from_ndarray(part, "flt", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            for each in convert.resample(frame):
                container.mux(stream.encode(each))
        container.mux(stream.encode(None))
    sound = read_sound(tmp_path / name, RATE)
    assert len(sound) / RATE == pytest.approx(2, abs=0.08)
    assert np.flatnonzero(np.abs(sound) > 0.1)[0] / RATE == pytest.approx(0.5, abs=0.06)
    inner = sound[RATE : RATE + RATE // 2]
    assert np.sqrt(2 * np.square(inner).mean()) == pytest.approx(0.3, rel=0.1)
    assert np.argmax(np.abs(np.fft.rfft(inner))) == 200

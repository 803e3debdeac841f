"""Sound is mono, at the rate asked for, and on the clock of the picture."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media.made import clicks, encode, quarters
from tests.shared import SHARED, needs_shared
from triaffect.errors import MediaError
from triaffect.media.audio import read_sound, sound_chunks
from triaffect.media.probe import probe
from triaffect.media.writer import write_video


def write_wav(path, samples, rate, layout="mono"):
    """Write float samples, shape (channels, samples), as 16-bit PCM."""
    pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(pcm.T.reshape(1, -1), "s16", layout)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def sine(hertz, rate, seconds, loud=0.5):
    return loud * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def test_same_rate_is_exact(tmp_path):
    sound = sine(440, 16000, 2.5)
    path = write_wav(tmp_path / "a.wav", sound[None], 16000)
    got = read_sound(path, 16000)
    assert got.dtype == np.float32
    assert got.shape == sound.shape
    assert np.abs(got - sound).max() < 1e-4


@pytest.mark.parametrize(("native", "rate"), [(44100, 16000), (8000, 22050), (48000, 22050)])
def test_resampling_keeps_pitch_time_and_loudness(tmp_path, native, rate):
    sound = sine(300, native, 3.0)
    got = read_sound(write_wav(tmp_path / "a.wav", sound[None], native), rate)
    assert len(got) == pytest.approx(3 * rate, abs=2)
    wanted = sine(300, rate, 3.0)
    inner = slice(500, min(len(got), len(wanted)) - 500)
    assert np.abs(got[inner] - wanted[inner]).max() < 5e-3


def test_high_tones_do_not_fold_back(tmp_path):
    path = write_wav(tmp_path / "a.wav", sine(11000, 44100, 1.0)[None], 44100)
    assert np.abs(read_sound(path, 16000)[500:-500]).max() < 0.01


def test_channels_count_equally_and_stay_in_range(tmp_path):
    left, right = sine(200, 16000, 1.0, 1.0), sine(200, 16000, 1.0, 0.2)
    stereo = write_wav(tmp_path / "a.wav", np.stack([left, right]), 16000, "stereo")
    assert np.abs(read_sound(stereo, 16000) - (left + right) / 2).max() < 1e-3
    loud = write_wav(tmp_path / "b.wav", np.sign(np.stack([left] * 2)), 44100, "stereo")
    assert np.abs(read_sound(loud, 16000)).max() <= 1


def test_chunks_are_seconds(tmp_path):
    path = write_wav(tmp_path / "a.wav", sine(440, 44100, 3.4)[None], 44100)
    sizes = [len(chunk) for chunk in sound_chunks(path, 16000)]
    assert sizes[:-1] == [16000] * 3
    assert 0 < sizes[-1] <= 16000


def test_late_sound_is_padded(tmp_path):
    path = encode(tmp_path / "a.mkv", range(0, 2000, 40), sound_from_ms=1300)
    got = read_sound(path, 8000)
    assert len(got) == 8000 + 8 * 1300
    assert not got[: 8 * 1300].any()
    assert np.abs(got[8 * 1300 :] - clicks() / 32768).max() < 1e-4


def test_sound_before_the_picture_shares_its_clock(tmp_path):
    path = encode(tmp_path / "a.mkv", [700, 740, 1500], sound_from_ms=200)
    assert np.abs(read_sound(path, 8000) - clicks() / 32768).max() < 1e-4


@settings(max_examples=15, deadline=None)
@given(gap_ms=st.integers(200, 2500), rate=st.sampled_from([8000, 16000]))
def test_a_hole_in_the_sound_is_silence(tmp_path_factory, gap_ms, rate):
    path = tmp_path_factory.mktemp("hole") / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for k in range(20):
            part = clicks()[None, (k % 10) * 800 : (k % 10) * 800 + 800]
            frame = av.AudioFrame.from_ndarray(part, "s16", "mono")
            frame.sample_rate = 8000
            packets = stream.encode(frame)
            for packet in packets:
                packet.pts = packet.dts = k * 800 + (gap_ms * 8 if k >= 10 else 0)
                container.mux(packet)
    got = read_sound(path, rate)
    scale = rate // 8000
    assert len(got) == pytest.approx((16000 + gap_ms * 8) * scale, abs=20)
    silent = got[8000 * scale + 100 : (8000 + gap_ms * 8) * scale - 100]
    assert np.abs(silent).max(initial=0) < 1e-3
    after = got[(8000 + gap_ms * 8) * scale :: scale][:8000]
    assert np.corrcoef(after[:7000], clicks()[:7000])[0, 1] > 0.99


def test_no_sound_is_an_empty_iterator(tmp_path):
    path = encode(tmp_path / "a.mp4", [0, 40, 80])
    assert not probe(path).has_sound
    assert list(sound_chunks(path, 16000)) == []
    assert read_sound(path, 16000).shape == (0,)


def test_cut_off_sound_just_ends(tmp_path):
    path = write_wav(tmp_path / "a.wav", sine(440, 16000, 4.0)[None], 16000)
    path.write_bytes(path.read_bytes()[:60000])
    assert len(read_sound(path, 16000)) == pytest.approx(30000, abs=50)


def test_errors_come_at_once(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("la la la\n" * 50)
    for name in ("missing.wav", "empty.wav"):
        with pytest.raises(MediaError, match=name):
            sound_chunks(tmp_path / name, 16000)
    with pytest.raises(MediaError, match=r"text\.wav"):
        read_sound(tmp_path / "text.wav", 16000)


def test_written_sound_is_heard_with_its_frame(tmp_path):
    """White flash and click at 1 s: both must come back at 1 s, codec delay or not."""
    frames = [np.full_like(quarters(), 255 if k == 25 else 0) for k in range(50)]
    sound = np.zeros(32000, np.float32)
    sound[16000:16080] = 0.8
    write_video(tmp_path / "a.mp4", frames, 25, sound, 16000)
    got = read_sound(tmp_path / "a.mp4", 16000)
    assert np.abs(got[:15800]).max() < 0.05
    assert np.abs(np.argmax(np.convolve(np.abs(got), np.ones(80), "valid")) - 16000) < 16


@needs_shared
def test_real_sounds():
    data = SHARED / "data"
    for path in sorted((data / "clips").iterdir())[:2] + sorted((data / "emodb").iterdir())[:2]:
        assert probe(path).has_sound
        sound = read_sound(path, 16000)
        assert 0.01 < np.abs(sound).max() <= 1
        assert len(sound) > 8000

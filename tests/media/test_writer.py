"""A written video holds what it was given, or is not there at all."""

import numpy as np
import pytest

from tests.media.made import corners, quarters
from triaffect.media.audio import read_sound
from triaffect.media.video import VideoFrames
from triaffect.media.writer import write_video


def test_frames_and_rate_come_back(tmp_path):
    frames = [np.full((48, 64, 3), 10 + 5 * k, np.uint8) for k in range(40)]
    write_video(tmp_path / "a.mp4", frames, 30000 / 1001)
    video = VideoFrames(tmp_path / "a.mp4")
    got = list(video)
    assert video.info.frame_rate == pytest.approx(30000 / 1001)
    assert [f.time_s for f in got] == pytest.approx(np.arange(40) * 1001 / 30000, abs=1e-4)
    assert max(abs(int(f.rgb.mean()) - 10 - 5 * k) for k, f in enumerate(got)) <= 3
    assert not video.info.has_sound
    assert video.problem is None


def test_colours_come_back(tmp_path):
    write_video(tmp_path / "a.mp4", [quarters()] * 5, 25)
    rgb = next(iter(VideoFrames(tmp_path / "a.mp4"))).rgb
    assert corners(rgb) == [0, 1, 2, 3]


def test_sound_of_any_length(tmp_path):
    rng = np.random.default_rng(0)
    for seconds in (0.3, 2.0, 5.5):
        sound = (0.1 * rng.normal(size=int(16000 * seconds))).astype(np.float32)
        write_video(tmp_path / "a.mp4", [quarters()] * 50, 25, sound)
        got = read_sound(tmp_path / "a.mp4", 16000)
        assert len(sound) <= len(got) <= len(sound) + 2048
        assert len(list(VideoFrames(tmp_path / "a.mp4"))) == 50


def test_same_input_same_bytes(tmp_path):
    sound = np.sin(np.arange(16000, dtype=np.float32) / 9) / 3
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, [quarters()] * 25, 25, sound)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, [quarters()] * 3, 25)
    before = path.read_bytes()

    def breaks():
        yield quarters()
        raise RuntimeError("out of paint")

    with pytest.raises(RuntimeError, match="out of paint"):
        write_video(path, breaks(), 25)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "a.mp4", [], 25)
    with pytest.raises(ValueError, match="97x61"):
        write_video(tmp_path / "a.mp4", [quarters(97, 61)], 25)
    assert not list(tmp_path.iterdir())

"""Videos written with times of their own, and sound as it comes."""

import numpy as np
import pytest

from tests.media.made import clicks
from triaffect.media.audio import read_sound
from triaffect.media.video import VideoFrames
from triaffect.media.writer import timed_video


def level(value, size=(64, 96)):
    return np.full((*size, 3), value, np.uint8)


def write(path, times, frames=None, sound=None, rate=25.0):
    frames = frames or [level(10 * k % 250) for k in range(len(times))]
    with timed_video(path, rate, sound, 8000) as add:
        for time_s, rgb in zip(times, frames, strict=True):
            add(time_s, rgb)
    return path


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_times_come_back_whatever_their_pace(tmp_path, start):
    times = [start + t for t in (0.0, 0.033, 0.1, 0.5, 0.9, 0.9333, 2.0)]
    silence = iter([np.zeros(8000, np.float32)] * 3)
    back = list(VideoFrames(write(tmp_path / "v.mp4", times, sound=silence)))
    assert [frame.time_s for frame in back] == pytest.approx(times, abs=1e-4)
    assert [int(frame.rgb.mean()) for frame in back] == pytest.approx(
        [0, 10, 20, 30, 40, 50, 60], abs=3
    )


def test_sound_is_in_step_with_the_picture(tmp_path):
    heard = np.concatenate([np.zeros(4000), clicks() / 32768, np.zeros(12000)]).astype(np.float32)
    parts = iter(np.array_split(heard, 7))
    back = read_sound(write(tmp_path / "v.mp4", [k / 25 for k in range(50)], sound=parts), 8000)
    assert len(back) == pytest.approx(len(heard), abs=2048)
    # the encoder may begin with silence of its own, which the file says to skip
    lags = [np.dot(back[lag : lag + 12000], heard[:12000]) for lag in range(200)]
    assert int(np.argmax(lags)) < 80


def test_sizes_are_made_even_and_kept(tmp_path):
    frames = [level(50, (61, 97)), level(90, (200, 97)), level(130, (20, 30))]
    video = VideoFrames(write(tmp_path / "v.mp4", [0.0, 0.1, 0.2], frames))
    assert (video.info.width, video.info.height) == (98, 62)
    assert [int(frame.rgb.mean()) for frame in video] == pytest.approx([50, 90, 130], abs=3)


@pytest.mark.parametrize("size", [(96, 1280), (578, 64), (64, 96)])
def test_colors_come_back_at_any_definition(tmp_path, size):
    frames = [np.broadcast_to(np.array([200, 60, 40], np.uint8), (*size, 3))] * 3
    back = next(iter(VideoFrames(write(tmp_path / "v.mp4", [0.0, 0.1, 0.2], frames))))
    assert back.rgb[20, 20].astype(int) == pytest.approx([200, 60, 40], abs=4)


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        write(path, [0.0, 0.1], (level(1 // k) for k in (1, 0)))
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]
    assert path.read_bytes() == b"old"

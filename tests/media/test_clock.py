"""Picture, sound and the list of frame times are on one clock, whatever stream starts first."""

import numpy as np
import pytest

from tests.media.made import CLICK_S, FLASH_FRAME, FLASH_RATE, encode, flash_and_click
from tests.shared import SHARED, needs_shared
from triaffect.errors import MediaError
from triaffect.media import frames_at as frame_times_module
from triaffect.media.audio import read_sound
from triaffect.media.frames_at import frame_times
from triaffect.media.video import VideoFrames

RATE = 16_000
FORMS = {
    "mkv": ("libx264", "aac", RATE),
    "webm": ("libvpx-vp9", "libopus", 48_000),
    "mp4": ("libx264", "aac", RATE),
    "mov": ("libx264", "pcm_s16le", RATE),
    "ts": ("libx264", "aac", RATE),
    "mpg": ("mpeg1video", "mp2", 32_000),
}
LISTED = ("mkv", "webm", "mp4", "mov")
STARTS = {
    "together": (0, 0),
    "sound half a second late": (0, 480),
    "picture half a second late": (480, 0),
    "from three seconds": (3000, 3000),
    "from three seconds, sound late": (3000, 3480),
    "from three seconds, picture late": (3480, 3000),
}


def click_s(path):
    """When the click is heard."""
    sound = np.abs(read_sound(path, RATE))
    return np.argmax(np.convolve(sound, np.ones(RATE // 200), "valid")) / RATE


def flash(path):
    """Index and time of the white frame."""
    frames = [(frame.rgb.mean(), frame.index, frame.time_s) for frame in VideoFrames(path)]
    return max(frames)[1:]


@pytest.mark.parametrize("starts", STARTS)
@pytest.mark.parametrize("form", FORMS)
def test_flash_and_click_are_as_far_apart_as_made(tmp_path, form, starts):
    picture_ms, sound_ms = STARTS[starts]
    path = flash_and_click(tmp_path / f"a.{form}", FORMS[form], picture_ms, sound_ms)
    index, seen_s = flash(path)
    assert index == FLASH_FRAME
    apart_s = (picture_ms - sound_ms) / 1000 + FLASH_FRAME / FLASH_RATE - CLICK_S
    assert seen_s - click_s(path) == pytest.approx(apart_s, abs=2e-3)
    assert frame_times(path)[index] == seen_s


@pytest.mark.parametrize("form", ["mp4", "mov"])
@pytest.mark.parametrize(("picture_ms", "sound_ms"), [(-280, 0), (0, -280), (-280, -280)])
def test_an_edit_list_that_leaves_out_the_beginning(tmp_path, form, picture_ms, sound_ms):
    path = flash_and_click(
        tmp_path / f"a.{form}", FORMS[form], picture_ms, sound_ms, {"avoid_negative_ts": "disabled"}
    )
    index, seen_s = flash(path)
    assert index == FLASH_FRAME + picture_ms // 40
    apart_s = (picture_ms - sound_ms) / 1000 + FLASH_FRAME / FLASH_RATE - CLICK_S
    assert seen_s - click_s(path) == pytest.approx(apart_s, abs=2e-3)
    assert_listed_as_yielded(path)


def assert_listed_as_yielded(path):
    times = frame_times(path)
    frames = [(frame.index, frame.time_s) for frame in VideoFrames(path)]
    assert len(times) == frames[-1][0] + 1
    assert [(index, times[index]) for index, _ in frames] == frames
    assert (np.diff(times) > 0).all()


@pytest.mark.parametrize("starts", STARTS)
@pytest.mark.parametrize("form", FORMS)
def test_listed_times_are_those_of_the_frames(tmp_path, form, starts):
    assert_listed_as_yielded(flash_and_click(tmp_path / f"a.{form}", FORMS[form], *STARTS[starts]))


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.ts"])
def test_listed_times_at_a_variable_frame_rate(tmp_path, name):
    uneven = [0, 40, 100, 130, 400, 410, 900, 2900]
    path = encode(tmp_path / name, uneven)
    assert_listed_as_yielded(path)
    np.testing.assert_allclose(frame_times(path), np.array(uneven) / 1000, atol=1e-3)


@pytest.mark.parametrize("codec", ["libvpx", "mpeg4", "ffv1"])
def test_listed_times_of_other_codecs(tmp_path, codec):
    assert_listed_as_yielded(encode(tmp_path / "a.mkv", range(0, 1000, 40), codec=codec))
    if codec == "mpeg4":
        assert_listed_as_yielded(encode(tmp_path / "a.avi", range(0, 1000, 40), codec=codec))


@pytest.mark.parametrize("form", LISTED)
def test_no_picture_is_decoded_for_the_list(tmp_path, form, monkeypatch):
    path = flash_and_click(tmp_path / f"a.{form}", FORMS[form], 480, 0)

    def refuse(*_, **__):
        raise AssertionError("decoded")

    monkeypatch.setattr(frame_times_module, "VideoFrames", refuse)
    assert len(frame_times(path)) == 2 * FLASH_RATE


def test_a_recording_that_starts_late_is_not_cut_off(tmp_path):
    """Matroska tells when a stream ends, not how long it is."""
    path = flash_and_click(tmp_path / "a.mkv", FORMS["mkv"], 3000, 3000)
    video = VideoFrames(path)
    assert len(list(video)) == 2 * FLASH_RATE
    assert video.problem is None


def test_a_damaged_frame_keeps_its_number(tmp_path):
    path = encode(tmp_path / "a.mkv", list(range(0, 4000, 40)), codec="ffv1")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(data)
    np.testing.assert_allclose(frame_times(path), np.arange(100) / 25)


def test_a_cut_off_video_lists_what_is_left(tmp_path):
    path = encode(tmp_path / "a.mkv", list(range(0, 4000, 40)), codec="ffv1")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_listed_as_yielded(path)
    assert 30 < len(frame_times(path)) < 70


def test_what_is_no_video(tmp_path):
    (tmp_path / "text.mp4").write_bytes(b"not a video\n" * 40)
    for name in ("text.mp4", "missing.mp4"):
        with pytest.raises(MediaError, match=name):
            frame_times(tmp_path / name)


@needs_shared
def test_listed_times_of_real_clips():
    for path in sorted((SHARED / "data" / "clips").iterdir()):
        assert_listed_as_yielded(path)

"""A camera that is none: what is done with the frames of a capture that is given."""

import os
import signal
import time

import numpy as np
import pytest

from triaffect.errors import MediaError
from triaffect.media.webcam import WebcamFrames, call_on_interrupt


class MadeCapture:
    """Gives pictures, each of the level of its number, at a pace; ends after some."""

    def __init__(self, count=None, pace_s=0.005):
        self.count, self.pace_s = count, pace_s
        self.number, self.released = 0, False

    def read(self):
        if self.count is not None and self.number >= self.count:
            return False, None
        time.sleep(self.pace_s)
        self.number += 1
        return True, np.full((8, 12, 3), (self.number - 1, 0, 0), np.uint8)

    def release(self):
        self.released = True


def watched(capture, **options):
    return WebcamFrames(0, open_device=lambda number: capture, **options)


def test_frames_are_rgb_and_their_times_rise_from_zero():
    camera = watched(capture := MadeCapture(12))
    frames = list(camera)
    assert frames[0].time_s == 0
    assert (np.diff([frame.time_s for frame in frames]) > 0).all()
    for frame in frames:
        assert frame.rgb[0, 0].tolist() == [0, 0, frame.index]
    assert frames[-1].index == 11
    assert camera.problem == "the camera stopped giving pictures"
    assert capture.released


def test_slow_work_sees_the_newest_frames():
    seen = []
    for frame in watched(MadeCapture(40)):
        seen.append(frame.index)
        time.sleep(0.05)
    assert len(seen) < 20
    assert seen == sorted(set(seen))
    assert seen[-1] == 39


def test_it_stops_after_the_seconds_given():
    camera = watched(capture := MadeCapture(), seconds=0.2)
    assert 0 < list(camera)[-1].time_s < 0.2
    assert camera.problem is None
    assert capture.released


def test_ctrl_c_ends_the_recording_and_breaks_nothing_off():
    before = signal.getsignal(signal.SIGINT)
    camera, seen = watched(capture := MadeCapture()), []
    with call_on_interrupt(camera.stop):
        for frame in camera:
            if len(seen) == 3:
                os.kill(os.getpid(), signal.SIGINT)
            seen.append(frame.index)
    assert 3 < len(seen) < 20
    assert camera.problem is None
    assert capture.released
    assert signal.getsignal(signal.SIGINT) is before


def test_leaving_early_closes_the_camera():
    frames = iter(watched(capture := MadeCapture()))
    next(frames)
    frames.close()
    assert capture.released


def test_no_camera_and_no_picture_are_errors(capfd):
    with pytest.raises(MediaError, match="webcam:99: expected a camera that can be opened"):
        WebcamFrames(99)
    with pytest.raises(MediaError, match="a camera that gives pictures, got none"):
        list(watched(MadeCapture(0)))
    assert capfd.readouterr().err == ""

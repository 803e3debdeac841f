"""Frames at wanted times: the right ones, wherever decoding has to start."""

import av
import numpy as np
import pytest

from tests.media.made import corners, encode
from triaffect.errors import MediaError
from triaffect.media.frames_at import FramesAt
from triaffect.media.video import Decoder, VideoFrames
from triaffect.media.writer import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Twenty seconds that grow brighter, with a whole picture every ten."""
    path = tmp_path_factory.mktemp("at") / "bright.mp4"
    write_video(path, (np.full((48, 64, 3), k // 2, np.uint8) for k in range(500)), 25.0)
    return path


def test_wanted_frames_come_in_order_whatever_the_order_asked(video):
    wanted = [19.96, 0.0, 7.0, 7.04, 12.4, 7.4]
    frames = list(FramesAt(video, wanted))
    assert np.allclose([frame.time_s for frame in frames], sorted(wanted))
    for frame in frames:
        assert abs(float(frame.rgb.mean()) - frame.time_s * 25 / 2) < 4


def test_they_are_the_frames_of_the_whole_video_at_a_varying_rate(tmp_path):
    times_ms = [0, 15, 200, 230, 900, 1500, 1510, 4000, 9000, 9020]
    path = encode(tmp_path / "odd.mkv", times_ms, sound_from_ms=0)
    whole = {round(frame.time_s, 6): frame.rgb for frame in VideoFrames(path)}
    frames = list(FramesAt(path, whole))
    assert [round(frame.time_s, 6) for frame in frames] == list(whole)
    for frame in frames:
        assert np.array_equal(frame.rgb, whole[round(frame.time_s, 6)])


def test_a_time_between_far_frames_or_after_the_end_has_none(tmp_path):
    path = encode(tmp_path / "odd.mkv", [0, 40, 80, 8000])
    assert [frame.time_s for frame in FramesAt(path, [0.04, 3.0, 20.0])] == [0.04]


def test_little_is_decoded_between_near_times_and_nothing_between_far_ones(video, monkeypatch):
    decoded = []
    pictures = Decoder.pictures

    def watched(self, *arguments):
        for number, picture in pictures(self, *arguments):
            decoded.append(picture.pts)
            yield number, picture

    monkeypatch.setattr(Decoder, "pictures", watched)
    with av.open(str(video)) as container:
        keys = sum(packet.is_keyframe for packet in container.demux(video=0))
    assert keys > 1
    frames = FramesAt(video, [0.04 * k for k in range(10)] + [19.0])
    decoded.clear()
    assert len(list(frames)) == 11
    assert len(decoded) < 10 + 251


def test_frames_are_upright(tmp_path):
    turned = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    path = encode(tmp_path / "turned.mp4", range(0, 400, 40), matrix=turned)
    (frame,) = FramesAt(path, [0.2])
    assert corners(frame.rgb) == corners(next(iter(VideoFrames(path))).rgb)
    assert frame.rgb.shape[0] > frame.rgb.shape[1]


def test_what_is_no_video_is_told(tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        FramesAt(tmp_path / "nothing.mp4", [0.0])

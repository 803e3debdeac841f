"""A few frames of a video without reading it through, and whether it ends before its time."""

import av
import numpy as np
import pytest

from tests.media.made import corners, encode
from triaffect.errors import MediaError
from triaffect.media.frames_at import SampledFrames
from triaffect.media.video import VideoFrames
from triaffect.media.writer import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Twenty seconds that grow brighter, with the list of packets in front."""
    folder = tmp_path_factory.mktemp("glance")
    shades = (np.full((48, 64, 3), k // 2, np.uint8) for k in range(500))
    write_video(folder / "plain.mp4", shades, 25.0)
    options = {"movflags": "+faststart"}
    with (
        av.open(str(folder / "plain.mp4")) as plain,
        av.open(str(folder / "front.mp4"), "w", options=options) as front,
    ):
        stream = front.add_stream_from_template(plain.streams.video[0])
        for packet in plain.demux(plain.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                front.mux(packet)
    return folder / "front.mp4"


def test_frames_are_spread_evenly_and_are_the_right_ones(video):
    sampled = SampledFrames(video, 4)
    frames = list(sampled)
    assert np.allclose([frame.time_s for frame in frames], [2.5, 7.5, 12.5, 17.5], atol=0.04)
    for frame in frames:
        assert abs(float(frame.rgb.mean()) - frame.time_s * 25 / 2) < 4
    assert sampled.problem is None


def test_a_cut_off_video_yields_what_there_is_and_says_where_it_ends(video, tmp_path):
    cut = tmp_path / "cut.mp4"
    content = video.read_bytes()
    cut.write_bytes(content[: int(len(content) * 0.6)])
    sampled = SampledFrames(cut, 4)
    assert 1 <= len(list(sampled)) < 4
    assert sampled.problem.startswith("broken or cut off at ")
    assert sampled.problem.endswith(" of 20.0 s")
    last_only = SampledFrames(cut, 0)
    assert list(last_only) == []
    assert last_only.problem == "cut off before its end at 20.0 s"


def test_a_video_of_one_frame_is_whole(tmp_path):
    sampled = SampledFrames(encode(tmp_path / "one.mp4", [0]), 5)
    assert {frame.time_s for frame in sampled} <= {0.0}
    assert sampled.problem is None


def test_what_is_no_video_is_told(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError, match=r"x\.mp4"):
        SampledFrames(tmp_path / "x.mp4", 3)


def test_frames_are_upright(tmp_path):
    turned = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    path = encode(tmp_path / "turned.mp4", range(0, 2000, 40), matrix=turned)
    upright = next(iter(VideoFrames(path))).rgb
    for frame in SampledFrames(path, 3):
        assert frame.rgb.shape == upright.shape == (96, 64, 3)
        assert corners(frame.rgb) == corners(upright)

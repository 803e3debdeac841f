"""Frames come upright, in RGB, at their own times, whatever the file is like."""

import gc
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.sidedata.sidedata import SideDataContainer

from tests.media.made import corners, encode, quarters
from tests.shared import SHARED, needs_shared
from triaffect.errors import MediaError
from triaffect.media import video as video_module
from triaffect.media.container import packets
from triaffect.media.video import VideoFrames, stream_rate
from triaffect.media.writer import write_video

EVEN = list(range(0, 1000, 40))
TURN = 1 << 16


def times(video: VideoFrames) -> list[float]:
    return [frame.time_s for frame in video]


def test_even_times_and_numbers(tmp_path):
    video = VideoFrames(encode(tmp_path / "a.mp4", EVEN))
    frames = list(video)
    assert [f.index for f in frames] == list(range(25))
    assert [f.time_s for f in frames] == pytest.approx(np.arange(25) / 25)
    assert video.info.frame_rate == pytest.approx(25)
    assert (video.info.width, video.info.height, video.info.has_sound) == (96, 64, False)
    assert video.info.duration_s == pytest.approx(1.0, abs=0.05)
    assert video.problem is None
    assert frames[0].rgb.dtype == np.uint8
    assert frames[0].rgb.flags.c_contiguous


def test_variable_frame_rate_keeps_its_times(tmp_path):
    uneven = [0, 40, 100, 130, 400, 410, 900]
    for name in ("a.mkv", "a.mp4"):
        video = VideoFrames(encode(tmp_path / name, uneven))
        assert times(video) == pytest.approx([t / 1000 for t in uneven], abs=1e-3), name
        assert video.problem is None


def test_time_zero_is_the_start_of_the_file(tmp_path):
    late = encode(tmp_path / "a.mkv", [500, 540, 580], sound_from_ms=100)
    assert times(VideoFrames(late)) == pytest.approx([0.4, 0.44, 0.48])
    # a transport stream starts its clock at 1.4 s, a recording in the middle of a broadcast
    assert times(VideoFrames(encode(tmp_path / "a.ts", EVEN)))[0] == pytest.approx(0)


def test_reading_twice_gives_the_same(tmp_path):
    video = VideoFrames(encode(tmp_path / "a.mp4", EVEN))
    first, second = ([(f.index, f.time_s, f.rgb.tobytes()) for f in video] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), [0, 1, 2, 3]),
        ((0, 1, -1, 0), [2, 0, 3, 1]),  # a quarter turn clockwise: a phone held upright
        ((-1, 0, 0, -1), [3, 2, 1, 0]),
        ((0, -1, 1, 0), [1, 3, 0, 2]),
        ((-1, 0, 0, 1), [1, 0, 3, 2]),  # mirrored: a phone's front camera
        ((0, 1, 1, 0), [0, 2, 1, 3]),
    ],
)
def test_rotation_and_mirror(tmp_path, matrix, shown):
    a, b, c, d = (TURN * k for k in matrix)
    path = encode(tmp_path / "a.mp4", EVEN[:3], matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    video = VideoFrames(path)
    rgb = next(iter(video)).rgb
    assert corners(rgb) == shown
    assert rgb.shape == (video.info.height, video.info.width, 3)
    assert rgb.shape[:2] == ((96, 64) if matrix[0] == 0 else (64, 96))


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        ("libx264", "yuv420p10le"),
        ("libx264", "yuv444p"),
        ("ffv1", "bgra"),
        ("ffv1", "yuva420p"),
        ("ffv1", "rgb48le"),
        ("mpeg4", "yuv420p"),
    ],
)
def test_odd_pixel_formats_become_rgb(tmp_path, codec, pix_fmt):
    path = encode(tmp_path / "a.mkv", EVEN[:3], codec=codec, pix_fmt=pix_fmt)
    rgb = next(iter(VideoFrames(path))).rgb
    assert rgb.dtype == np.uint8
    assert rgb.shape == (64, 96, 3)
    assert corners(rgb) == [0, 1, 2, 3]


@pytest.mark.parametrize("pix_fmt", ["gray", "gray16le"])
def test_gray_becomes_rgb(tmp_path, pix_fmt):
    path = encode(tmp_path / "a.mkv", EVEN[:3], codec="ffv1", pix_fmt=pix_fmt)
    rgb = next(iter(VideoFrames(path))).rgb.astype(int)
    assert rgb.shape == (64, 96, 3)
    assert np.ptp(rgb, axis=2).max() <= 1
    assert np.ptp(rgb) > 50


def test_odd_size(tmp_path):
    path = encode(tmp_path / "a.mkv", EVEN[:3], codec="ffv1", source=("rgb24", quarters(97, 61)))
    video = VideoFrames(path)
    assert next(iter(video)).rgb.shape == (61, 97, 3)


def test_max_size_shrinks_but_never_enlarges(tmp_path):
    path = encode(tmp_path / "a.mp4", EVEN[:3])
    small = VideoFrames(path, max_size=48)
    rgb = next(iter(small)).rgb
    assert rgb.shape == (32, 48, 3)
    assert (small.info.height, small.info.width) == (32, 48)
    assert corners(rgb) == [0, 1, 2, 3]
    assert next(iter(VideoFrames(path, max_size=500))).rgb.shape == (64, 96, 3)


def test_cut_off_file_gives_what_it_has_and_says_so(tmp_path):
    moving = (np.roll(quarters(), 3 * k, axis=1) for k in range(200))
    noise = np.random.default_rng(0).integers(0, 60, (64, 96, 3), np.uint8)
    write_video(tmp_path / "whole.mp4", (m // 2 + noise for m in moving), 25)
    whole = tmp_path / "whole.mkv"
    _remux(tmp_path / "whole.mp4", whole, {})
    _remux(tmp_path / "whole.mp4", tmp_path / "front.mp4", {"movflags": "faststart"})
    for path in (whole, tmp_path / "front.mp4"):
        good = [f.rgb.tobytes() for f in VideoFrames(path)]
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        video = VideoFrames(path)
        got = [f.rgb.tobytes() for f in video]
        assert 80 < len(got) < 190
        assert got[:80] == good[:80]
        assert video.problem, path


def test_damaged_middle_does_not_end_the_video(tmp_path):
    path = encode(tmp_path / "a.mkv", list(range(0, 4000, 40)), codec="ffv1")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(data)
    video = VideoFrames(path)
    frames = list(video)
    assert 90 < len(frames) < 100
    assert [f.time_s for f in frames] == pytest.approx([f.index / 25 for f in frames])
    assert frames[-1].index == 99
    assert video.problem


def _remux(source: Path, target: Path, options: dict[str, str]) -> None:
    with av.open(str(source)) as reader, av.open(str(target), "w", options=options) as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0])
        for packet in reader.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                writer.mux(packet)


def test_mp4_without_its_index_is_an_error(tmp_path):
    path = encode(tmp_path / "a.mp4", EVEN)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(MediaError, match="complete video"):
        VideoFrames(path)


def test_no_video_is_an_error(tmp_path):
    cases = {
        "missing.mp4": (None, "no such file"),
        "empty.mp4": (b"", "zero bytes"),
        "text.mp4": (b"not a video, really\n" * 40, "got text"),
        "notes.txt": (b"anger, joy\n" * 40, "got text"),
        "list.m3u8": (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.mp4\n", "list of other"),
        "list.mpd": (b'<?xml version="1.0"?><MPD profiles="urn:mpeg:dash:x"/>', "list of other"),
        "list.ffconcat": (b"ffconcat version 1.0\nfile a.mp4\n", "list of other"),
    }
    for name, (content, message) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError, match=message) as caught:
            VideoFrames(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(MediaError, match="a folder"):
        VideoFrames(tmp_path)


def test_names_that_look_like_something_else(tmp_path):
    for name in ("12:30:10.mp4", "file:x.mp4", "a%03d.mp4", "ünï cødé.mp4", "-i.mp4"):
        write_video(tmp_path / name, [quarters()] * 3, 25)
        assert len(list(VideoFrames(tmp_path / name))) == 3


@needs_shared
def test_real_clips_have_their_frames():
    for path in sorted((SHARED / "data" / "clips").iterdir()):
        video = VideoFrames(path)
        seen = times(video)
        rate = video.info.frame_rate
        assert len(seen) == (75 if path.suffix == ".mpg" else 98), path
        assert seen == pytest.approx(np.arange(len(seen)) / rate, abs=2e-3)
        assert video.info.has_sound
        assert video.problem is None


def test_no_frame_waits_for_the_garbage_collector(tmp_path):
    path = encode(tmp_path / "a.mp4", EVEN, matrix=(0, TURN, 0, -TURN, 0, 0, 0, 0, 1 << 30))
    gc.collect()
    gc.disable()
    try:
        assert len(times(VideoFrames(path))) == len(EVEN)
        waiting = sum(type(thing) is SideDataContainer for thing in gc.get_objects())
    finally:
        gc.enable()
    assert waiting <= 2  # the one of the first look, and of this loop


class LateTrack:
    """A container that stumbles, as PyAV does, over packets of a stream that began later."""

    def __init__(self, parts):
        self.parts = iter(parts)

    def demux(self, stream):
        for part in self.parts:
            if part is None:
                raise IndexError("list index out of range")
            yield part


def test_a_track_that_begins_later_is_passed_over():
    assert list(packets(LateTrack([1, None, 2, 3, None, None, 4]), None)) == [1, 2, 3, 4]


@pytest.mark.parametrize(("told", "rate"), [(0, 25), (None, 25), (2e-7, 25), (0.1, 0.1), (90, 90)])
def test_a_rate_that_cannot_be_is_not_believed(told, rate):
    assert stream_rate(SimpleNamespace(average_rate=told, guessed_rate=None)) == rate


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        ("mkv", "libx264", {}),
        ("mp4", "libx264", {"x264-params": "bframes=3:open-gop=1"}),
        ("mp4", "libx265", {"x265-params": "log-level=none:open-gop=1:bframes=4"}),
        ("webm", "libvpx-vp9", {}),
        ("avi", "mpeg4", {}),
    ],
)
@pytest.mark.parametrize("from_s", [-1.0, 0.0, 0.31, 1.5, 2.39, 2.41, 9.0])
def test_frames_from_a_time_are_those_of_the_whole_video(tmp_path, suffix, codec, options, from_s):
    path = tmp_path / f"moving.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "10", **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(61):
            rgb = np.full((48, 64, 3), 4 * k, np.uint8)
            rgb[:, k : k + 4] = 255 - 4 * k
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode(None))
    video = VideoFrames(path)
    whole = [frame for frame in video if frame.time_s >= from_s]
    part = list(video.frames_from(from_s))
    assert [frame.index for frame in part] == [frame.index for frame in whole]
    assert [frame.time_s for frame in part] == [frame.time_s for frame in whole]
    for mine, theirs in zip(part, whole, strict=True):
        np.testing.assert_array_equal(mine.rgb, theirs.rgb)
    assert video.problem is None


def test_frames_long_before_a_time_are_not_decoded(tmp_path, monkeypatch):
    path, made = encode(tmp_path / "v.mkv", range(0, 8000, 40)), []

    class Recorded(video_module.SkippedPackets):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(video_module, "SkippedPackets", Recorded)
    assert next(VideoFrames(path).frames_from(6.0)).index == 150
    assert 120 < made[-1].count < 150

"""Frames and times of a table's rows are those of the clip, on the clock of picture and sound."""

import av
import numpy as np
import pytest

from tests.features.made_corpus import write_sound
from tests.media.made import FLASH_FRAME, FLASH_RATE, encode, flash_and_click, quarters
from triaffect.corpora.frame_clock import FrameClock
from triaffect.corpora.label_table import LabelTable
from triaffect.errors import MediaError, TableError
from triaffect.media.audio import read_sound
from triaffect.media.video import VideoFrames
from triaffect.media.writer import write_video

UNEVEN_MS = [0, 40, 100, 130, 400, 410, 900]
MKV = ("libx264", "aac", 16_000)


def moments(folder, header, *lines, clip="a.mkv"):
    rows = [f"{clip},{line}" for line in lines]
    (folder / "labels.csv").write_text("\n".join([f"clip,{header},AU1", *rows]) + "\n")
    corpus = LabelTable(folder)
    (source,) = corpus.sources()
    return corpus.moments(source).table.to_pandas()


def test_a_time_takes_the_nearest_frame(tmp_path):
    encode(tmp_path / "a.mkv", UNEVEN_MS)
    at_s = [0.0, 0.019, 0.021, 0.114, 0.116, 0.26, 0.27, 0.404, 0.406, 0.65, 0.66, 0.9, 0.95]
    rows = moments(tmp_path, "time_s", *(f"{t},1" for t in at_s))
    times = np.array(UNEVEN_MS) / 1000
    nearest = [int(np.abs(times - t).argmin()) for t in at_s]
    assert rows["frame"].tolist() == nearest
    assert rows["time_s"].tolist() == at_s
    assert set(rows["track"]) == {0}


def test_a_frame_has_its_own_time(tmp_path):
    encode(tmp_path / "a.mkv", UNEVEN_MS)
    rows = moments(tmp_path, "frame", *(f"{k},1" for k in range(7)))
    assert rows["time_s"].tolist() == [frame.time_s for frame in VideoFrames(tmp_path / "a.mkv")]


def test_both_are_believed_and_either_may_be_blank(tmp_path):
    encode(tmp_path / "a.mkv", UNEVEN_MS)
    rows = moments(tmp_path, "frame,time_s", "3,0.131,1", "4,,1", ",0.92,1")
    assert rows["frame"].tolist() == [3, 4, 6]
    assert rows["time_s"].tolist() == [0.131, pytest.approx(0.4), 0.92]


def test_a_clip_is_not_read_if_both_are_given(tmp_path):
    (tmp_path / "a.mkv").write_bytes(b"anything")
    assert moments(tmp_path, "frame,time_s", "3,0.131,1")["frame"].tolist() == [3]
    with pytest.raises(MediaError, match=r"a\.mkv"):
        moments(tmp_path, "frame,time_s", "3,,1")


@pytest.mark.parametrize(("picture_ms", "sound_ms"), [(480, 0), (0, 480), (3000, 3480)])
def test_labels_frames_and_sound_agree_on_one_clock(tmp_path, picture_ms, sound_ms):
    """The flash's frame and the click's time, given by either column, find flash and click."""
    path = flash_and_click(tmp_path / "a.mkv", MKV, picture_ms, sound_ms)
    start_s = min(picture_ms, sound_ms) / 1000
    flash_s = picture_ms / 1000 - start_s + FLASH_FRAME / FLASH_RATE
    rows = moments(tmp_path, "frame,time_s", f"{FLASH_FRAME},,1", f",{flash_s},1")
    assert rows["frame"].tolist() == [FLASH_FRAME, FLASH_FRAME]
    np.testing.assert_allclose(rows["time_s"], flash_s, atol=1e-6)
    frame = next(f for f in VideoFrames(path) if f.index == FLASH_FRAME)
    assert frame.rgb.mean() > 200
    assert frame.time_s == rows["time_s"][0]
    click_s = np.abs(read_sound(path, 16_000)).argmax() / 16_000
    assert click_s - rows["time_s"][0] == pytest.approx((sound_ms - picture_ms) / 1000, abs=0.01)


def test_a_time_without_a_picture_has_no_face(tmp_path):
    flash_and_click(tmp_path / "a.mkv", MKV, 480, 0)  # the picture ends half a second late too
    rows = moments(tmp_path, "time_s,face_id", "0.2,0,1", "0.45,0,1", "0.48,0,1", "2.48,0,1")
    assert rows["track"].tolist() == [-1, 0, 0, 0]
    flash_and_click(tmp_path / "a.mkv", MKV, 0, 480)
    rows = moments(tmp_path, "time_s,face_id", "0,0,1", "1.96,0,1", "2.3,0,1")
    assert rows["track"].tolist() == [0, 0, -1]
    assert rows["time_s"].tolist() == [0, 1.96, 2.3]


@pytest.mark.parametrize(
    ("header", "lines", "message"),
    [
        ("frame", ("6,1", "7,1"), "row 2, column frame: .* from 0 to 6, got 7"),
        ("frame", ("5,1", "900,"), ""),
        ("time_s", ("0.1,1", "500,1"), "row 2, column time_s: .* ends at .* got 500"),
        ("frame,time_s", ("7,,1", ",0.1,1"), "row 1, column frame: .* from 0 to 6, got 7"),
    ],
)
def test_a_moment_that_the_video_does_not_have(tmp_path, header, lines, message):
    encode(tmp_path / "a.mkv", UNEVEN_MS)
    if not message:
        assert len(moments(tmp_path, header, *lines)) == 1  # the other has no label
        return
    with pytest.raises(TableError, match=message):
        moments(tmp_path, header, *lines)


def test_sounds_are_numbered_at_thirty_a_second(tmp_path):
    write_sound(tmp_path / "a.wav", 2.0)
    rows = moments(tmp_path, "frame,time_s", "45,,1", ",1.02,1", "7,0.5,1", clip="a.wav")
    assert rows["frame"].tolist() == [45, 31, 7]
    assert rows["time_s"].tolist() == [1.5, 1.02, 0.5]
    with pytest.raises(TableError, match=r"row 1, column time_s: .* ends at 2\.00 s, got 1020"):
        moments(tmp_path, "time_s", "1020,1", clip="a.wav")


def test_a_video_is_listed_once(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", [quarters()] * 10, 25)
    (tmp_path / "labels.csv").write_text("clip,frame,AU1\na.mp4,3,1\n")
    calls = []
    corpus = LabelTable(tmp_path)
    monkeypatch.setattr(
        "triaffect.corpora.frame_clock.frame_times",
        lambda path: calls.append(path) or np.arange(9) / 3,
    )
    (source,) = corpus.sources()
    for _ in range(3):
        assert corpus.moments(source).column("time_s").tolist() == [1.0]
    assert len(calls) == 1


def test_an_even_clock_moves_all_frames_alike():
    """Half a frame off, the later one is taken each time, whatever the last digit says."""
    frames = np.arange(100_000)
    for rate in (25.0, 29.97, 30.0):
        clock = FrameClock(rate, 0.5)
        np.testing.assert_array_equal(clock.frames(clock.times(frames)), frames)
        halves = clock.frames(clock.times(frames) + 10.5 / rate)
        np.testing.assert_array_equal(halves, frames + 11)


def test_a_row_without_a_moment_labels_the_whole_clip(tmp_path):
    write_sound(tmp_path / "a.wav", 4.0)
    rows = moments(tmp_path, "person", "Ann,1", clip="a.wav")
    assert rows["time_s"].tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert set(rows["person"]) == {"Ann"}
    encode(tmp_path / "b.mkv", [40 * k for k in range(75)])
    rows = moments(tmp_path, "time_s", ",1", "0.2,0", clip="b.mkv")
    assert rows["time_s"].tolist() == [1.0, 1.5, 2.0, 0.2]
    assert rows["frame"].tolist() == [25, 38, 50, 5]
    assert rows["AU1"].tolist() == [1, 1, 1, 0]
    assert set(rows["track"]) == {0}
    (tmp_path / "c.wav").write_bytes(b"anything")
    with pytest.raises(MediaError, match=r"c\.wav"):
        moments(tmp_path, "time_s", ",1", clip="c.wav")


def test_moments_of_an_opus_file_that_is_cut_short_lie_in_what_is_left(tmp_path):
    whole, cut = tmp_path / "whole.opus", tmp_path / "cut.opus"
    wave = np.random.default_rng(0).normal(0, 0.1, (1, 48_000)).astype(np.float32)
    with av.open(str(whole), "w") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        for part in range(8):
            frame = av.AudioFrame.from_ndarray(wave, "flt", "mono")
            frame.sample_rate, frame.pts = 48_000, part * 48_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    assert moments(tmp_path, "person", "Ann,1", clip="whole.opus")["time_s"].max() == 6.0
    rows = moments(tmp_path, "person", "Ann,1", clip="cut.opus")
    left_s = len(read_sound(cut, 16_000)) / 16_000
    assert 2 < left_s < 6
    assert len(rows) > 1
    assert rows["time_s"].max() <= left_s
    cut.write_bytes(content[:60])
    with pytest.raises(MediaError, match=r"cut\.opus"):
        moments(tmp_path, "person", "Ann,1", clip="cut.opus")

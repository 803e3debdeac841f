"""Annotated copies: every frame at its time, upright, with its own rows, and the sound."""

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import skimage.io

from tests.media.made import encode
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound, write_tiny_model
from triaffect.errors import DiskError, MediaError, TableError
from triaffect.media.audio import read_sound
from triaffect.media.probe import probe
from triaffect.media.video import VideoFrames
from triaffect.prediction.options import Options
from triaffect.prediction.predictor import Predictor
from triaffect.report.annotate import Annotator


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny"))


def annotated(predictor, path, place, size=7):
    """Draw a file's rows, which come in parts that cut frames in two."""
    table = pa.concat_tables(predictor.tables(path))
    draw_parts([table[at : at + size] for at in range(0, len(table), size)], path, place)
    return table


def draw_parts(parts, path, place):
    with Annotator(place, [path]) as annotator:
        for part in parts:
            annotator.add(part, path)


def differs(one, other):
    """Where two pictures differ by more than coding makes them."""
    return np.abs(one.astype(int) - other).max(axis=2) > 60


def test_boxes_lie_on_the_faces_of_their_frames(predictor, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 12, faceless=(5,), copies=2)
    table = annotated(predictor, path, tmp_path / "out.mp4", size=3)
    frames, copies = list(VideoFrames(path)), list(VideoFrames(tmp_path / "out.mp4"))
    assert [copy.time_s for copy in copies] == pytest.approx([f.time_s for f in frames], abs=1e-4)
    for frame, copy in zip(frames, copies, strict=True):
        enlarged = cv2.resize(frame.rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        marks = differs(enlarged, copy.rgb)
        rows = table.filter(pc.equal(table["frame"], frame.index)).to_pylist()
        assert len(rows) == (1 if frame.index == 5 else 2)
        for row in rows:
            if row["face_seen"]:
                x, y, w = (round(2 * row[name]) for name in ("box_x", "box_y", "box_w"))
                assert marks[max(0, y - 3) : y + 4, x + 8 : x + w - 8].any(axis=0).mean() > 0.8
    assert len(read_sound(tmp_path / "out.mp4", 16000)) == pytest.approx(
        len(read_sound(path, 16000)), abs=4096
    )


def test_a_turned_video_at_an_uneven_pace_stays_as_it_is_shown(predictor, tmp_path):
    turned = (0, -65536, 0, 65536, 0, 0, 0, 0, 1073741824)
    times = [0, 40, 80, 300, 310, 700]
    path = encode(tmp_path / "turned.mp4", times, source=("rgb24", portrait()[:200]), matrix=turned)
    annotated(predictor, path, tmp_path / "out.mp4")
    frames, copies = list(VideoFrames(path)), list(VideoFrames(tmp_path / "out.mp4"))
    assert [copy.time_s for copy in copies] == pytest.approx([f.time_s for f in frames], abs=1e-4)
    shown = cv2.resize(frames[0].rgb, None, fx=2, fy=2)
    assert copies[0].rgb.shape == shown.shape
    assert np.median(np.abs(copies[0].rgb.astype(int) - shown)) < 6


def test_rows_of_some_frames_are_shown_until_the_next(predictor, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 10, sound=False)
    table = pa.concat_tables(predictor.tables(path))
    few = table.filter(pc.equal(pc.bit_wise_and(table["frame"], 3), 0))
    draw_parts([few], path, tmp_path / "out.mp4")
    frames, copies = list(VideoFrames(path)), list(VideoFrames(tmp_path / "out.mp4"))
    assert len(copies) == 10
    for frame, copy in zip(frames, copies, strict=True):
        enlarged = cv2.resize(frame.rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        row = few.filter(pc.equal(few["frame"], frame.index // 4 * 4)).to_pylist()[0]
        y, x, w = (round(2 * row[name]) for name in ("box_y", "box_x", "box_w"))
        marks = differs(enlarged, copy.rgb)
        assert marks[y - 3 : y + 4, x + 8 : x + w - 8].any(axis=0).mean() > 0.8


def test_a_folder_gets_a_copy_of_everything_that_has_a_picture(predictor, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    files = [write_clip(tmp_path / name / "x.mp4", 3, sound=False) for name in "ab"]
    skimage.io.imsave(tmp_path / "one.jpg", portrait())
    (tmp_path / "b" / "1.png").write_bytes((tmp_path / "one.jpg").read_bytes())
    files += [tmp_path / "one.jpg", write_sound(tmp_path / "s.wav", tone(1.0)), tmp_path / "b"]
    rows = {path: pa.concat_tables(predictor.tables(path)) for path in files[:4]}
    rows[tmp_path / "b"] = rows[tmp_path / "one.jpg"]
    with Annotator(tmp_path / "out", files, images_rate=10.0) as annotator:
        for path in files:
            annotator.add(rows[path], path)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("b.annotated.mp4", "one.annotated.png", "x-2.annotated.mp4", "x.annotated.mp4")
    ]
    drawn = skimage.io.imread(tmp_path / "out" / "one.annotated.png")
    assert drawn.shape == (512, 512, 3)


def open_single(place, files):
    annotator = Annotator(place, files)
    annotator.open(probe(files[0]), Options())


@pytest.mark.parametrize("most", [2**29, 0])
def test_frames_of_a_prediction_are_drawn_as_they_are_decoded_or_decoded_again(
    predictor, tmp_path, monkeypatch, most
):
    path = write_clip(tmp_path / "clip.mp4", 90, faceless=(5,))
    annotated(predictor, path, tmp_path / "twice.mp4")
    monkeypatch.setattr("triaffect.report.annotate._MOST_BYTES", most)
    opened, waiting = [], []
    with Annotator(tmp_path / "once.mp4", [path]) as annotator:
        source = probe(path)
        annotator.open(source, Options())
        monkeypatch.setattr("triaffect.media.probe.open_container", opened.append)
        if not most:
            monkeypatch.undo()
        for table in predictor.predict_source(source):
            annotator.add(table, path)
            waiting.append(len(annotator._frames or ()))
    once, twice = (list(VideoFrames(tmp_path / f"{name}.mp4")) for name in ("once", "twice"))
    assert len(once) == len(twice) == 90
    for one, other in zip(once, twice, strict=True):
        assert one.time_s == other.time_s
        assert np.array_equal(one.rgb, other.rgb)
    assert not opened
    assert max(waiting) <= 60


def test_what_cannot_be_is_told_before_any_work(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", 2, sound=False)
    sound = write_sound(tmp_path / "s.wav", tone(1.0))
    skimage.io.imsave(tmp_path / "one.jpg", portrait())
    for place, files, words in [
        ("out.mp4", [clip, sound], "a folder for several inputs"),
        ("out.mp4", [sound], "a sound"),
        ("out.mp4", [tmp_path / "one.jpg"], r"ends in \.png"),
        ("out.png", [clip], r"ends in \.mp4"),
        ("out.avi", [clip], r"got '\.avi'"),
        ("clip.mp4", [clip], "the input itself"),
        ("clip.mp4/out.mp4", [clip], "a folder, got a file"),
        ("out.mp4", [clip.with_name("webcam:0")], "no such file"),
    ]:
        with pytest.raises((TableError, MediaError, DiskError), match=words):
            open_single(tmp_path / place, files)
    with pytest.raises(TableError, match="a camera"):
        Annotator(tmp_path / "out.mp4", [type(clip)("webcam:0")])


def test_an_error_leaves_no_half_copy_and_a_full_disk_is_told(predictor, tmp_path, monkeypatch):
    path = write_clip(tmp_path / "clip.mp4", 3, sound=False)
    table = pa.concat_tables(predictor.tables(path))
    with pytest.raises(pa.ArrowInvalid):
        draw_parts([table, table.drop("frame")], path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("triaffect.media.writer._Writer.finish", full)
    with pytest.raises(DiskError, match="No space left"):
        draw_parts([table], path, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    assert not list(tmp_path.glob(".*"))

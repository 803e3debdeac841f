"""What an answer may not depend on: batches, threads, other work, and the pace of frames."""

import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
import pandas as pd
import pytest

from tests.prediction.tiny_model import portrait, write_clip
from triaffect.faces import stream
from triaffect.media.video import VideoFrames
from triaffect.prediction import predictor as predictor_module
from triaffect.prediction.batch import predict_files
from triaffect.prediction.options import DETECTION_INTERVAL_S, Options
from triaffect.prediction.parts import PredictionJob
from triaffect.prediction.predictor import Predictor


def check_same(one, other):
    pd.testing.assert_frame_equal(one, other, check_exact=False, rtol=0, atol=1e-5)


def check_near(one, other):
    """Faces are followed from frame to frame, which ends within a fraction of a pixel."""
    for name in one.select_dtypes("number"):
        is_pixels = name.startswith("box") or name.endswith(("_x", "_y"))
        most = 0.3 if is_pixels else 1.0 if name.startswith("head") else 0.05
        difference = (one[name].astype(float) - other[name].astype(float)).abs().max()
        assert difference < most, f"{name}: {difference}"
    kept = one.select_dtypes(exclude="number").columns
    pd.testing.assert_frame_equal(one[kept], other[kept])


def threads():
    return [t for t in threading.enumerate() if t.name == "triaffect-prefetch"]


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_how_many_frames_go_together(monkeypatch, predictor, clip, count):
    before = predictor.predict(clip)
    monkeypatch.setattr(predictor_module, "FRAMES_AT_ONCE", count)
    check_same(predictor.predict(clip), before)


def test_threads_and_what_runs_beside(monkeypatch, predictor, clip, tmp_path):
    other = write_clip(tmp_path / "other.mp4", 20, copies=2)
    alone = {path: predictor.predict(path) for path in (clip, other)}
    with ThreadPoolExecutor(3) as pool:
        asked = [clip, other] * 3
        for path, table in zip(asked, pool.map(predictor.predict, asked), strict=True):
            check_same(table, alone[path])
    monkeypatch.setattr(stream, "prefetch", lambda items, most: (item for item in items))
    check_same(predictor.predict(clip), alone[clip])


def test_another_face_in_the_picture(model, tmp_path):
    """Of two faces, one answers as it does when the other is passed over."""
    path = write_clip(tmp_path / "two.mp4", 12, copies=2, sound=False)
    two = Predictor(model, options=Options(detection_interval_s=0)).predict(path)
    one = Predictor(model, options=Options(detection_interval_s=0, max_faces=1)).predict(path)
    left = two["box_x"] < two["box_x"].mean()
    mine = two[left == (one["box_x"][0] < two["box_x"].mean())].reset_index(drop=True)
    check_same(mine.drop(columns="face_id"), one.drop(columns="face_id"))


def test_jobs_and_what_else_is_predicted(predictor, model, clip, tmp_path):
    other = write_clip(tmp_path / "other.mp4", 6)
    predict_files([other, clip], PredictionJob(tmp_path / "t.parquet", model), jobs=2)
    table = pd.read_parquet(tmp_path / "t.parquet")
    mine = table[table["clip"] == str(clip)].reset_index(drop=True)
    check_same(mine.astype({"face_id": "Int64"}), predictor.predict(clip))


def test_a_stream_closed_early_leaves_no_thread(predictor, clip):
    stream = predictor.stream(clip)
    next(stream)
    stream.close()
    assert not threads()


def test_an_error_on_the_way_comes_out_and_leaves_no_thread(monkeypatch, predictor, clip):
    def broken(self):
        for frame in frames(self):
            if frame.index == 35:
                raise RuntimeError("no more")
            yield frame

    frames = VideoFrames.__iter__
    monkeypatch.setattr(VideoFrames, "__iter__", broken)
    with pytest.raises(RuntimeError, match="no more"):
        predictor.predict(clip)
    assert not threads()


def test_kept_parts_depend_on_every_option(model, tmp_path):
    chosen = [
        Options(),
        Options(sound=False),
        Options(stride_s=0.2),
        Options(detection_interval_s=0.0),
        Options(min_face_px=9.0),
        Options(max_faces=3),
    ]
    identities = {
        PredictionJob(tmp_path / "t.csv", model, options=each).part(model) for each in chosen
    }
    assert len(identities) == len(chosen)


def write_lossless(path, times_s, pictures):
    """A video of pictures that are shown at these times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=60)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "bgr0"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for time_s, picture in zip(times_s, pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_after_a_cut_nothing_of_before_counts(predictor, tmp_path):
    """Two faces at the same place, one after the other: the second answers as if alone."""
    one, other = portrait(), np.roll(portrait()[:, ::-1], -34, axis=1)
    both = write_lossless(tmp_path / "both.mkv", np.arange(20) / 25, [one] * 10 + [other] * 10)
    alone = write_lossless(tmp_path / "alone.mkv", np.arange(10) / 25, [other] * 10)
    table = predictor.predict(both)
    assert table["face_id"].tolist() == [0] * 10 + [1] * 10
    after = table[10:].reset_index(drop=True)
    differ = ["clip", "frame", "time_s", "face_id"]
    check_same(after.drop(columns=differ), predictor.predict(alone).drop(columns=differ))


def paced_picture(time_s):
    """A portrait that moves and brightens as a function of time."""
    picture = np.full((256, 320, 3), 90, np.uint8)
    left = round(32 + 30 * np.sin(2 * time_s))
    picture[:, left : left + 256] = np.clip(portrait() * (0.8 + 0.1 * time_s), 0, 255)
    return picture


def write_paced(path, times_s):
    return write_lossless(path, times_s, [paced_picture(time_s) for time_s in times_s])


def paces():
    """Two seconds at constant rates, and at a pace that varies but has a frame every 0.2 s."""
    for rate in (15, 25, 30, 60):
        yield str(rate), np.arange(2 * rate) / rate
    random = np.random.default_rng(0)
    others = random.choice(np.setdiff1d(np.arange(120), np.arange(0, 120, 12)), 40, replace=False)
    yield "variable", np.sort(np.concatenate([others, np.arange(0, 120, 12)])) / 60


SEARCHED = [(0.0, check_same), (DETECTION_INTERVAL_S, check_near)]
"""Seconds from search to search; where every frame is searched, the answers are equal."""


@pytest.mark.parametrize(("interval_s", "check"), SEARCHED)
def test_the_pace_of_frames(model, tmp_path, interval_s, check):
    """In the moments that all have, their windows hold the same faces."""
    moments, predictor = {}, Predictor(model, options=Options(detection_interval_s=interval_s))
    for name, times_s in paces():
        table = predictor.predict(write_paced(tmp_path / f"{name}.mkv", times_s))
        assert np.allclose(table["time_s"], times_s, atol=1e-3)
        assert (table["face_id"] == 0).all()
        shared = (table["time_s"] / 0.2).round(3) % 1 == 0
        moments[name] = table[shared].drop(columns=["clip", "frame"]).reset_index(drop=True)
    assert len(moments["60"]) == 10
    for table in moments.values():
        check(table, moments["60"])


@pytest.mark.parametrize(("interval_s", "check"), SEARCHED)
def test_fewer_rows_say_the_same_at_every_pace(model, tmp_path, interval_s, check):
    options = Options(stride_s=0.4, detection_interval_s=interval_s)
    fewer, tables = Predictor(model, options=options), []
    for name, times_s in paces():
        table = fewer.predict(write_paced(tmp_path / f"{name}.mkv", times_s))
        tables.append(table.drop(columns=["clip", "frame"]))
    assert tables[0]["time_s"].tolist() == pytest.approx([0.0, 0.4, 0.8, 1.2, 1.6])
    for table in tables[1:]:
        check(table, tables[0])

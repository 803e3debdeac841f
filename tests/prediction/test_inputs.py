"""Folders of pictures, frames from a program and a camera become tables as files do."""

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import skimage.io

import triaffect
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound
from triaffect.errors import DiskError, MediaError
from triaffect.media.video import VideoFrames
from triaffect.media.webcam import WebcamFrames
from triaffect.prediction import inputs as inputs_module
from triaffect.prediction import predictor as predictor_module
from triaffect.prediction.batch import predict_files
from triaffect.prediction.inputs import InputOptions, check_only_webcam
from triaffect.prediction.parts import PredictionJob
from triaffect.prediction.predictor import Predictor


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three pictures named 1, 9 and 10, the last without a face."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, rgb in (("1", portrait()), ("9", portrait()[:, ::-1]), ("10", portrait() * 0 + 90)):
        skimage.io.imsave(folder / f"{name}.png", rgb, check_contrast=False)
    return folder


def test_frames_from_a_program_are_predicted_as_those_of_a_silent_video(predictor, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 40, sound=False, faceless=(10,))
    whole = predictor.predict(path)
    given = ((frame.time_s, frame.rgb) for frame in VideoFrames(path))
    parts = list(predictor.stream(given))
    assert len(parts) > 1
    pd.testing.assert_frame_equal(
        pd.concat(parts, ignore_index=True).drop(columns="clip"), whole.drop(columns="clip")
    )


def test_the_package_predicts_frames_with_the_shipped_model(monkeypatch, predictor):
    monkeypatch.setattr(predictor_module, "load_cached", lambda model, device: predictor)
    table = triaffect.predict((k / 10, portrait()) for k in range(3))
    assert table["time_s"].tolist() == [0.0, 0.1, 0.2]
    assert table["face_seen"].all()
    assert set(table["clip"]) == {"frames"}
    with pytest.raises(MediaError, match="at least one frame"):
        triaffect.predict(iter([]))


def test_a_folder_of_pictures_is_one_clip(model, pictures, tmp_path):
    results = predict_files(
        [pictures], PredictionJob(tmp_path / "t.csv", model, inputs=InputOptions(2.0))
    )
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["time_s"].tolist() == [0.0, 0.5, 1.0]
    assert table["face_seen"].tolist() == [True, True, False]
    assert set(table["clip"]) == {str(pictures)}
    assert results[0].rows == 3


def test_parts_of_a_folder_that_changed_are_not_used(pictures, tmp_path):
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in pictures.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    before = InputOptions(2.0).state(copied)
    assert InputOptions(2.0).state(copied) == before
    assert InputOptions(3.0).state(copied) != before
    (copied / "9.png").write_bytes((copied / "1.png").read_bytes())
    assert InputOptions(2.0).state(copied) != before


class MadeCapture:
    """A camera that sees the portrait some times."""

    def __init__(self, count):
        self.left = count

    def read(self):
        self.left -= 1
        return self.left >= 0, np.ascontiguousarray(portrait()[..., ::-1])

    def release(self):
        self.left = 0


def test_a_camera_becomes_a_table(model, tmp_path, monkeypatch):
    def made(number, seconds):
        assert (number, seconds) == (3, 7.0)
        return WebcamFrames(number, seconds, lambda number: MadeCapture(500))

    monkeypatch.setattr(inputs_module, "WebcamFrames", made)
    monkeypatch.chdir(tmp_path)
    camera = [Path("webcam:3")]
    results = predict_files(
        camera, PredictionJob(tmp_path / "t.csv", model, inputs=InputOptions(seconds=7.0))
    )
    table = pd.read_csv(tmp_path / "t.csv")
    assert len(table) == results[0].rows > 0
    assert set(table["clip"]) == {"webcam:3"}
    assert table["face_seen"].all()
    assert table["time_s"].is_monotonic_increasing
    assert "stopped giving pictures" in results[0].problem
    with pytest.raises(MediaError, match="a camera alone, got 2 inputs"):
        check_only_webcam([*camera, tmp_path / "t.csv"])


def test_a_surprise_after_some_rows_keeps_them(model, tmp_path, monkeypatch):
    good, tables = write_clip(tmp_path / "clip.mp4", 40), Predictor.predict_source

    def breaking(self, source):
        yield next(iter(tables(self, source)))
        raise ValueError("what a decoder says")

    monkeypatch.setattr(Predictor, "predict_source", breaking)
    results = predict_files([good], PredictionJob(tmp_path / "t.csv", model))
    assert results[0].error is None
    assert "ValueError: what a decoder says" in results[0].problem
    assert 0 < len(pd.read_csv(tmp_path / "t.csv")) < 40


def test_a_full_disk_ends_the_work_and_keeps_what_was_finished(model, tmp_path, monkeypatch):
    files = [write_sound(tmp_path / f"{k}.wav", tone(1.0)) for k in range(3)]
    tables, begun = Predictor.predict_source, []

    def full(self, table):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def watched(self, source):
        begun.append(source.path.name)
        if begun == ["0.wav", "1.wav"]:
            monkeypatch.setattr(pyarrow.parquet.ParquetWriter, "write", full)
        return tables(self, source)

    monkeypatch.setattr(Predictor, "predict_source", watched)
    with pytest.raises(DiskError, match="No space left on device"):
        predict_files(files, PredictionJob(tmp_path / "t.csv", model))
    assert begun == ["0.wav", "1.wav"]
    monkeypatch.undo()
    monkeypatch.setattr(Predictor, "predict_source", watched)
    begun[:] = ["later"]
    assert [
        result.error for result in predict_files(files, PredictionJob(tmp_path / "t.csv", model))
    ] == [None] * 3
    assert begun == ["later", "1.wav", "2.wav"]

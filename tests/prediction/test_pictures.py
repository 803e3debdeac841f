"""Many pictures: their faces go through the networks together, and nothing shows it."""

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.media.made import encode
from tests.prediction.tiny_model import portrait, tone, write_sound
from triaffect.errors import MediaError
from triaffect.io.engines import Processes
from triaffect.media.probe import probe, read_image
from triaffect.prediction.batch import predict_files
from triaffect.prediction.options import Options
from triaffect.prediction.parts import PredictionJob, group_files
from triaffect.prediction.pictures import PictureBatch, PictureFaces
from triaffect.tables.results import Interrupted


def write_picture(path, shift=0, copies=1):
    """The portrait, some pixels aside, `copies` of it side by side; gray for none."""
    rgb = np.full_like(portrait(), 90) if not copies else np.roll(portrait(), shift, axis=1)
    rgb = np.concatenate([rgb] * max(1, copies), axis=1)
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pictures of no, one and two faces; half a picture, none, one that moves, and a sound."""
    folder = tmp_path_factory.mktemp("pictures")
    faces = [write_picture(folder / f"{k}.png", 3 * k, copies=k % 3) for k in range(6)]
    cut, words = folder / "cut.jpg", folder / "words.jpg"
    whole = write_picture(folder / "whole.jpg").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    words.write_bytes(b"nothing")
    moves = encode(
        folder / "moves.apng",
        [0, 40, 80],
        codec="apng",
        pix_fmt="rgb24",
        source=("rgb24", portrait()),
    )
    moves = moves.rename(folder / "moves.png")
    sound = write_sound(folder / "a.wav", tone(0.5))
    return [*faces[:2], words, *faces[2:4], cut, moves, faces[4], sound, faces[5]]


def states(results):
    return [(r.path.name, r.rows, str(r.state), r.problem, str(r.error or "")) for r in results]


def test_rows_are_those_of_each_picture_by_itself_in_order(files, model, predictor, tmp_path):
    results = predict_files(files, PredictionJob(tmp_path / "one.csv", model))
    table = pd.read_csv(tmp_path / "one.csv", dtype={"face_id": "Int64"})
    good = [path for path in files if path.name != "words.jpg"]
    with pytest.warns(match="the picture is damaged"):
        each = pd.concat([predictor.predict(path) for path in good], ignore_index=True)
    pd.testing.assert_frame_equal(table, each, check_dtype=False, atol=1e-6)
    assert table["clip"].drop_duplicates().tolist() == [str(path) for path in good]
    assert {r.path.name: str(r.state) for r in results if r.state != "whole"} == {
        "words.jpg": "failed",
        "cut.jpg": "partial",
    }
    assert (table[table["clip"] == str(files[1])]["face_seen"]).all()
    assert [r.rows for r in results if r.path.name in ("0.png", "1.png", "2.png")] == [1, 1, 2]
    for jobs, name in ((2, "two.csv"), (1, "again.csv")):
        others = predict_files(files, PredictionJob(tmp_path / name, model), jobs)
        assert states(others) == states(results)
        assert (tmp_path / name).read_bytes() == (tmp_path / "one.csv").read_bytes()


@pytest.mark.parametrize("copies", [0, 1, 2])
def test_a_picture_has_the_rows_of_a_film_of_that_frame(predictor, tmp_path, copies):
    path = write_picture(tmp_path / "a.png", copies=copies)
    picture = predictor.predict(path)
    film = predictor.predict(iter([(0.0, read_image(path))]))
    pd.testing.assert_frame_equal(picture.drop(columns="clip"), film.drop(columns="clip"))
    array = predictor.predict(read_image(path))
    pd.testing.assert_frame_equal(picture.drop(columns="clip"), array.drop(columns="clip"))


def test_python_joins_pictures_too(files, predictor, monkeypatch):
    with pytest.warns(match="damaged|decodes"):
        table = predictor.predict(files)
    good = [path for path in files if path.name != "words.jpg"]
    assert table["clip"].drop_duplicates().tolist() == [str(path) for path in good]
    counted, run = [], predictor._face.__class__.__call__
    monkeypatch.setattr(
        predictor._face.__class__,
        "__call__",
        lambda self, crops: counted.append(len(crops)) or run(self, crops),
    )
    again = predictor.predict([path for path in files[:5] if path.name != "words.jpg"])
    assert counted == [1 + 2 + 0 + 0]
    pd.testing.assert_frame_equal(again, table[: len(again)])


def test_only_what_failed_or_changed_is_computed_again(files, model, tmp_path, computed):
    mine = [shutil.copy(path, tmp_path / path.name) for path in files[:5]]
    output = tmp_path / "t.csv"
    predict_files(mine, PredictionJob(output, model))
    assert len(list((tmp_path / "t.csv.parts").iterdir())) == 1
    computed.clear()
    write_picture(mine[0], 40)
    shutil.copy(files[1], mine[2])
    results = predict_files(mine, PredictionJob(output, model))
    assert computed == ["0.png", "words.jpg"]
    assert not any(result.error for result in results)
    assert not (tmp_path / "t.csv.parts").exists()
    predict_files(mine, PredictionJob(tmp_path / "u.csv", model))
    assert output.read_bytes() == (tmp_path / "u.csv").read_bytes()


@pytest.mark.parametrize("when", [3.5, 5.0])
def test_an_interruption_keeps_the_pictures_that_were_read(files, model, tmp_path, computed, when):
    output, seen = tmp_path / "t.csv", []

    def interrupt(done, name):
        seen.append(done)
        if done >= when:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stop:
        predict_files(files, PredictionJob(output, model), progress=interrupt)
    assert seen == sorted(seen)
    begun = computed.copy()
    so_far = pd.read_csv(tmp_path / "t.partial.csv")
    kept = [path for path in files[: len(begun)] if path.name != "words.jpg"]
    assert so_far["clip"].drop_duplicates().tolist() == [str(path) for path in kept]
    assert "not started" in {str(result.state) for result in stop.value.results}
    computed.clear()
    predict_files(files, PredictionJob(output, model))
    assert not {path.name for path in kept} & set(computed)
    predict_files(files, PredictionJob(tmp_path / "u.csv", model))
    assert output.read_bytes() == (tmp_path / "u.csv").read_bytes()


def test_progress_counts_each_picture(files, model, tmp_path):
    seen = []
    predict_files(
        files[3:5],
        PredictionJob(tmp_path / "t.csv", model),
        progress=lambda *each: seen.append(each),
    )
    assert [(round(done, 2), name) for done, name in seen] == [
        *((1.0, "2.png"), (2.0, "3.png"), (2.0, "3.png"))
    ]


class Deadly(Processes):
    """Processes of which those die that get several pictures, or the one called words.jpg."""

    def results(self, workload, items):
        worker = workload.start(lambda: False)
        for item in items:
            dies = len(item) > 1 or item[0].name == "words.jpg"
            yield workload.died(item) if dies else worker(item)


def test_of_pictures_that_killed_their_process_each_is_tried_alone(files, model, tmp_path):
    results = predict_files(files, PredictionJob(tmp_path / "t.csv", model), engine=Deadly())
    assert [r.path.name for r in results if r.error] == ["words.jpg"]
    assert "the process died of it" in str(results[2].error)
    predict_files(files, PredictionJob(tmp_path / "u.csv", model))
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "u.csv").read_bytes()


def test_pictures_are_shared_among_processes(files, predictor):
    paths = [files[0]] * 1000
    assert {len(group) for group in group_files(paths, predictor, 1)} == {64, 1000 % 64}
    assert len(group_files(paths[:20], predictor, 2)) == 10
    assert sum(map(len, group_files(paths, predictor, 4))) == 1000
    assert group_files([files[0], files[8], files[1]], predictor, 1) == [
        *((files[0],), (files[8],), (files[1],))
    ]
    timed = predictor.with_options(Options(end_s=1.0))
    assert {len(group) for group in group_files(paths, timed, 1)} == {1}


def test_a_time_after_the_start_has_no_rows_of_pictures(files, model, tmp_path):
    job = PredictionJob(tmp_path / "t.csv", model, options=Options(start_s=1.0))
    results = predict_files(files[:2], job)
    assert all(isinstance(result.error, MediaError) for result in results)
    job = PredictionJob(tmp_path / "t.csv", model, options=Options(end_s=1.0))
    assert [result.rows for result in predict_files(files[:2], job)] == [1, 1]


def test_few_crops_are_held_however_many_faces_there_are(files, predictor):
    faces = PictureFaces.read(probe(files[3]), predictor._faces)
    assert len(faces.crops) == 2
    batch, most = predictor.picture_batch(), 0
    assert isinstance(batch, PictureBatch)
    for _ in range(100):
        batch.add(faces)
        most = max(most, sum(map(len, batch._crops)))
    assert most < 32
    table = batch.table()
    assert len(table) == 200
    assert len(set(table["valence"].to_pylist())) == 2
    assert not len(batch)


def test_a_part_without_a_list_of_its_inputs_counts_for_nothing(files, model, tmp_path, computed):
    job = PredictionJob(tmp_path / "t.csv", model)
    with pytest.raises(Interrupted):
        predict_files(files[:2], job, progress=stop_at_the_end)
    (part,) = job.parts.glob("*.parquet")
    pq.write_table(pq.read_table(part).replace_schema_metadata(), part)
    computed.clear()
    predict_files(files[:2], job)
    assert computed == ["0.png", "1.png"]
    assert json.loads((tmp_path / "t.csv.meta.json").read_text())["problems"] == []


def stop_at_the_end(done, name):
    if done >= 2:
        raise KeyboardInterrupt

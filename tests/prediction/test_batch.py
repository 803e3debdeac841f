"""Many files: the same table whatever the processes, failures and interruptions."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import triaffect
from tests.media.made import encode
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound, write_tiny_model
from triaffect.errors import MediaError, ModelError
from triaffect.prediction import batch as many
from triaffect.prediction.batch import predict_files
from triaffect.prediction.options import Options
from triaffect.prediction.predictor import Predictor
from triaffect.tables.postprocess import TableForm
from triaffect.tables.results import problems


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five files, the second of which is no media."""
    folder = tmp_path_factory.mktemp("files")
    paths = [write_sound(folder / f"{k}.wav", tone(0.5 + k / 2)) for k in range(4)]
    write_clip(folder / "clip.mp4", 6)
    (folder / "bad.mp4").write_bytes(b"nothing")
    return [paths[3], folder / "bad.mp4", folder / "clip.mp4", *paths[:3]]


@pytest.fixture
def computed(monkeypatch):
    """Names of the files that were really computed."""
    names, tables = [], Predictor.tables

    def watched(self, path):
        names.append(path.name)
        return tables(self, path)

    monkeypatch.setattr(Predictor, "tables", watched)
    return names


def test_the_table_does_not_depend_on_the_processes(files, model, predictor, tmp_path):
    one = predict_files(files, tmp_path / "one.csv", model, jobs=1)
    two = predict_files(files, tmp_path / "two.csv", model, jobs=2)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert [(r.path, r.rows, str(r.error)) for r in one] == [
        (r.path, r.rows, str(r.error)) for r in two
    ]
    table = pd.read_csv(tmp_path / "one.csv")
    good = [path for path in files if path.name != "bad.mp4"]
    assert table["clip"].drop_duplicates().tolist() == [str(path) for path in good]
    whole = pd.concat([predictor.predict(path) for path in good], ignore_index=True)
    assert np.allclose(table["valence"], whole["valence"], equal_nan=True)
    assert [bool(r.error) for r in one] == [path.name == "bad.mp4" for path in files]
    assert {p.name for p in tmp_path.iterdir()} == {
        *("one.csv", "one.csv.meta.json", "one.csv.parts"),
        *("two.csv", "two.csv.meta.json", "two.csv.parts"),
    }


def test_the_same_command_tries_those_that_failed_and_no_others(files, model, tmp_path, computed):
    good, bad, output = files[0], tmp_path / "bad.mp4", tmp_path / "t.csv"
    bad.write_bytes(b"words")
    predict_files([good, bad], output, model)
    computed.clear()
    shutil.copy(good, bad)
    results = predict_files([good, bad], output, model)
    assert computed == ["bad.mp4"]
    assert not any(result.error for result in results)
    assert pd.read_csv(output)["clip"].drop_duplicates().tolist() == [str(good), str(bad)]
    assert {path.name for path in tmp_path.iterdir()} == {"bad.mp4", "t.csv", "t.csv.meta.json"}


def test_a_listener_is_given_the_rows_of_each_file_with_its_path(
    files, model, tmp_path, monkeypatch
):
    monkeypatch.setattr("triaffect.prediction.batch._ROWS_AT_ONCE", 4)
    heard = []
    listeners = [lambda table, path: heard.append((path, table))]
    predict_files(files, tmp_path / "t.csv", model, listeners=listeners)
    assert max(len(table) for _, table in heard) <= 4
    assert list(dict.fromkeys(path for path, _ in heard)) == [
        path for path in files if path.name != "bad.mp4"
    ]
    told = pd.concat([table.to_pandas() for _, table in heard], ignore_index=True)
    written = pd.read_csv(tmp_path / "t.csv")
    assert told["clip"].tolist() == written["clip"].tolist()
    assert np.allclose(told["valence"], written["valence"], equal_nan=True)


def interrupted_after(count):
    def told(done, word):
        if done == count:
            raise KeyboardInterrupt

    return told


def test_an_interrupted_run_goes_on_where_it_was(files, model, tmp_path, computed):
    output = tmp_path / "t.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_files(files, output, model, told=interrupted_after(4))
    assert not output.exists()
    assert computed == [path.name for path in files[:4]]
    so_far = pd.read_csv(tmp_path / "t.partial.csv")
    assert so_far["clip"].drop_duplicates().tolist() == [str(files[k]) for k in (0, 2, 3)]
    told = json.loads((tmp_path / "t.partial.csv.meta.json").read_text())["problems"]
    assert [(each["clip"], each["state"]) for each in told] == [
        (str(files[1]), "failed"),
        *((str(path), "not started") for path in files[4:]),
    ]
    computed.clear()
    results = predict_files(files, output, model)
    # the broken one is tried again: it may have been repaired
    assert computed == ["bad.mp4", *(path.name for path in files[4:])]
    assert sum(result.rows for result in results) == len(pd.read_csv(output))
    predict_files(files, tmp_path / "u.csv", model)
    assert output.read_bytes() == (tmp_path / "u.csv").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {
        *("t.csv", "t.csv.meta.json", "t.csv.parts"),
        *("u.csv", "u.csv.meta.json", "u.csv.parts"),
    }


def test_parts_of_another_model_or_of_a_changed_file_are_not_used(files, model, tmp_path, computed):
    mine = [tmp_path / "a.wav", tmp_path / "b.wav", tmp_path / "c.wav"]
    for path in mine:
        shutil.copy(files[3], path)
    output = tmp_path / "t.csv"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            predict_files(mine, output, model, told=interrupted_after(3))
    assert computed == ["a.wav", "b.wav", "c.wav"]
    write_sound(mine[1], tone(2.0))
    with pytest.raises(KeyboardInterrupt):
        predict_files(mine, output, model, told=interrupted_after(3))
    assert computed[3:] == ["b.wav"]
    predict_files(mine, output, write_tiny_model(tmp_path / "other", seed=1))
    assert computed[4:] == ["a.wav", "b.wav", "c.wav"]


def test_parts_with_sound_are_not_used_without(files, model, tmp_path, computed):
    output = tmp_path / "t.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_files(files, output, model, told=interrupted_after(4))
    results = predict_files(files, output, model, options=Options(sound=False))
    assert computed[4:] == [path.name for path in files]
    assert [r.path.name for r in results if r.error is None] == ["clip.mp4"]
    assert not pd.read_csv(output)["voice_heard"].any()


def test_parts_that_are_there_serve_any_form(files, model, tmp_path, computed):
    output, some = tmp_path / "t.csv", [files[2], *files[3:]]
    smooth = TableForm.parse("centred", "0.1s", None, tmp_path / "summary.csv")
    with pytest.raises(KeyboardInterrupt):
        predict_files(some, output, model, told=interrupted_after(3))
    predict_files(some, output, model, form=smooth)
    assert computed == [path.name for path in some]
    table = pd.read_csv(output, dtype={"face_id": "Int64"})
    predict_files(some, tmp_path / "plain.csv", model)
    plain = pd.read_csv(tmp_path / "plain.csv", dtype={"face_id": "Int64"})
    pd.testing.assert_frame_equal(table[plain.columns], plain)
    expected = triaffect.subtract_baseline(triaffect.smooth(table, "centred"), 0.1)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)
    thresholds = Predictor(model).thresholds
    assert thresholds
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "summary.csv", dtype={"face_id": "Int64"}),
        triaffect.summarize(table, thresholds),
        check_dtype=False,
        atol=2e-6,
    )


def test_a_cut_off_file_is_told_even_when_its_rows_were_kept(model, tmp_path):
    whole = encode(tmp_path / "whole.mkv", range(0, 2400, 40), source=("rgb24", portrait()))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    other = write_sound(tmp_path / "a.wav", tone(0.5))
    with pytest.raises(KeyboardInterrupt):
        predict_files([cut, other], tmp_path / "t.csv", model, told=interrupted_after(1))
    results = predict_files([cut, other], tmp_path / "t.csv", model)
    assert 0 < results[0].rows < 60
    assert "could be decoded" in results[0].problem
    assert not results[1].problem
    about = json.loads((tmp_path / "t.csv.meta.json").read_text("utf-8"))
    assert about["problems"] == problems(results)


def test_no_table_is_written_if_every_file_fails(files, model, tmp_path):
    (tmp_path / "t.csv").write_text("old")
    results = predict_files([files[1]], tmp_path / "t.csv", model)
    assert isinstance(results[0].error, MediaError)
    assert (tmp_path / "t.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_a_model_that_does_not_work_ends_it_at_once(files, tmp_path):
    with pytest.raises(ModelError):
        predict_files(files, tmp_path / "t.csv", tmp_path / "nothing")
    assert not list(tmp_path.iterdir())


def test_a_finished_file_is_not_held_while_it_is_read(tmp_path):
    part, rng = tmp_path / "part.parquet", np.random.default_rng(0)
    schema = pa.schema([(f"c{k}", pa.float64()) for k in range(10)])
    with pa.parquet.ParquetWriter(part, schema) as sink:
        for _ in range(30):
            sink.write(pa.table(list(rng.uniform(size=(10, 2000))), schema))
    before, most, rows = pa.total_allocated_bytes(), 0, 0
    for table in many._rows(part):
        most = max(most, pa.total_allocated_bytes() - before)
        rows += len(table)
    assert rows == 60_000
    assert most < part.stat().st_size / 3

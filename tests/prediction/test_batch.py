"""Many files: the same table whatever the processes, failures and interruptions."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import triaffect
from tests.media.made import encode
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound, write_tiny_model
from tests.tables.made_rows import cut, joined, made_rows
from triaffect.errors import DiskError, MediaError, ModelError
from triaffect.features.model_folder import file_hash
from triaffect.prediction import parts
from triaffect.prediction.batch import PredictionOutputs, predict_files
from triaffect.prediction.options import Options
from triaffect.prediction.parts import PredictionJob
from triaffect.prediction.predictor import Predictor
from triaffect.tables.postprocess import Postprocessing, postprocess
from triaffect.tables.results import FileResult, Interrupted, problems
from triaffect.tables.schema import to_pandas
from triaffect.tasks.registry import TASKS


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five files, the second of which is no media."""
    folder = tmp_path_factory.mktemp("files")
    paths = [write_sound(folder / f"{k}.wav", tone(0.5 + k / 2)) for k in range(4)]
    write_clip(folder / "clip.mp4", 6)
    (folder / "bad.mp4").write_bytes(b"nothing")
    return [paths[3], folder / "bad.mp4", folder / "clip.mp4", *paths[:3]]


def test_the_table_does_not_depend_on_the_processes(files, model, predictor, tmp_path):
    one = predict_files(files, PredictionJob(tmp_path / "one.csv", model), jobs=1)
    two = predict_files(files, PredictionJob(tmp_path / "two.csv", model), jobs=2)
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
    predict_files([good, bad], PredictionJob(output, model))
    computed.clear()
    shutil.copy(good, bad)
    results = predict_files([good, bad], PredictionJob(output, model))
    assert computed == ["bad.mp4"]
    assert not any(result.error for result in results)
    assert pd.read_csv(output)["clip"].drop_duplicates().tolist() == [str(good), str(bad)]
    assert {path.name for path in tmp_path.iterdir()} == {"bad.mp4", "t.csv", "t.csv.meta.json"}


def test_a_listener_is_given_the_rows_of_each_file_with_its_path(
    files, model, tmp_path, monkeypatch
):
    monkeypatch.setattr("triaffect.prediction.parts._ROWS_AT_ONCE", 4)
    heard = []
    listeners = [lambda table, path: heard.append((path, table))]
    predict_files(files, PredictionJob(tmp_path / "t.csv", model), listeners=listeners)
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
        predict_files(files, PredictionJob(output, model), progress=interrupted_after(4))
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
    results = predict_files(files, PredictionJob(output, model))
    # the broken one is tried again: it may have been repaired
    assert computed == ["bad.mp4", *(path.name for path in files[4:])]
    assert sum(result.rows for result in results) == len(pd.read_csv(output))
    predict_files(files, PredictionJob(tmp_path / "u.csv", model))
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
            predict_files(mine, PredictionJob(output, model), progress=interrupted_after(3))
    assert computed == ["a.wav", "b.wav", "c.wav"]
    write_sound(mine[1], tone(2.0))
    with pytest.raises(KeyboardInterrupt):
        predict_files(mine, PredictionJob(output, model), progress=interrupted_after(3))
    assert computed[3:] == ["b.wav"]
    predict_files(mine, PredictionJob(output, write_tiny_model(tmp_path / "other", seed=1)))
    assert computed[4:] == ["a.wav", "b.wav", "c.wav"]


def test_parts_with_sound_are_not_used_without(files, model, tmp_path, computed):
    output = tmp_path / "t.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_files(files, PredictionJob(output, model), progress=interrupted_after(4))
    results = predict_files(files, PredictionJob(output, model, options=Options(sound=False)))
    assert computed[4:] == [path.name for path in files]
    assert [r.path.name for r in results if r.error is None] == ["clip.mp4"]
    assert not pd.read_csv(output)["voice_heard"].any()


def test_parts_that_are_there_serve_any_form(files, model, tmp_path, computed):
    output, some = tmp_path / "t.csv", [files[2], *files[3:]]
    smooth = Postprocessing.parse("centred", "0.1s", None, tmp_path / "summary.csv")
    with pytest.raises(KeyboardInterrupt):
        predict_files(some, PredictionJob(output, model), progress=interrupted_after(3))
    predict_files(some, PredictionJob(output, model, postprocessing=smooth))
    assert computed == [path.name for path in some]
    table = pd.read_csv(output, dtype={"face_id": "Int64"})
    predict_files(some, PredictionJob(tmp_path / "plain.csv", model))
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
        predict_files(
            [cut, other], PredictionJob(tmp_path / "t.csv", model), progress=interrupted_after(1)
        )
    results = predict_files([cut, other], PredictionJob(tmp_path / "t.csv", model))
    assert 0 < results[0].rows < 60
    assert "could be decoded" in results[0].problem
    assert not results[1].problem
    about = json.loads((tmp_path / "t.csv.meta.json").read_text("utf-8"))
    assert about["problems"] == problems(results)


def test_no_table_is_written_if_every_file_fails(files, model, tmp_path):
    (tmp_path / "t.csv").write_text("old")
    results = predict_files([files[1]], PredictionJob(tmp_path / "t.csv", model))
    assert isinstance(results[0].error, MediaError)
    assert (tmp_path / "t.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_a_model_that_does_not_work_ends_it_at_once(files, tmp_path):
    with pytest.raises(ModelError):
        predict_files(files, PredictionJob(tmp_path / "t.csv", tmp_path / "nothing"))
    assert not list(tmp_path.iterdir())


def test_a_finished_file_is_not_held_while_it_is_read(tmp_path):
    part, rng = tmp_path / "part.parquet", np.random.default_rng(0)
    schema = pa.schema([(f"c{k}", pa.float64()) for k in range(10)])
    with pa.parquet.ParquetWriter(part, schema) as sink:
        for _ in range(30):
            sink.write(pa.table(list(rng.uniform(size=(10, 2000))), schema))
    before, most, rows = pa.total_allocated_bytes(), 0, 0
    for table in parts.read_rows(part):
        most = max(most, pa.total_allocated_bytes() - before)
        rows += len(table)
    assert rows == 60_000
    assert most < part.stat().st_size / 3


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_table_and_summary_are_postprocessed_in_one_pass_and_described(
    tmp_path, name, model, predictor
):
    output, summary = tmp_path / name, tmp_path / f"sum_{name}"
    form = Postprocessing.parse("causal", "1s", None, summary)
    clips = [made_rows(30, seed=k, clip=f"{k}.mp4") for k in range(2)]
    results = [FileResult(Path("0.mp4"), 30), FileResult(Path("1.mp4"), 30, problem="cut off")]
    listened = []
    listeners = [lambda table, path: listened.append(table)]
    with PredictionOutputs(
        PredictionJob(output, model, postprocessing=form), predictor, listeners
    ) as outputs:
        for clip, result in zip(clips, results, strict=True):
            outputs.add(iter(cut(clip, {3, 7})), result.path)  # which can be read only once
        outputs.finish(results)
    tasks = [task.with_thresholds(predictor.thresholds) for task in TASKS]
    expected = to_pandas(joined(postprocess(clips, form, tasks)))
    pd.testing.assert_frame_equal(read(output), expected, check_dtype=False)
    pd.testing.assert_frame_equal(to_pandas(joined(listened)), expected, check_dtype=False)
    expected = triaffect.summarize(joined(clips).to_pandas(), predictor.thresholds)
    pd.testing.assert_frame_equal(read(summary), expected, check_dtype=False, atol=2e-6)
    for path in (output, summary):
        metadata = metadata_of(path)
        assert metadata["model"]["name"] == "tiny"
        assert metadata["model"]["sha256"] == file_hash(model / "model.json")
        assert metadata["model"]["licence"] == "Apache-2.0"
        assert metadata["version"] == triaffect.__version__
        chosen = ("sound", "smooth", "baseline_s", "columns")
        assert [metadata["options"][each] for each in chosen] == [
            *(True, "causal:0.3s", 1.0, "triaffect")
        ]
        assert metadata["thresholds"]["AU12"] == 0.5
        assert metadata["problems"] == problems(results)
    assert "causal:0.3s" in metadata_of(output)["columns"]["valence_smooth"]


def read(path):
    if path.suffix == ".jsonl":
        table = pd.read_json(path, lines=True)
    else:
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    return table.astype({"face_id": "Int64"})


def metadata_of(path):
    if path.suffix == ".parquet":
        return json.loads(pa.parquet.read_schema(path).metadata[b"triaffect"])
    return json.loads(path.with_name(path.name + ".meta.json").read_text("utf-8"))


def fail_half_way(job, predictor):
    with PredictionOutputs(job, predictor) as outputs:
        outputs.add([made_rows()], Path("a.mp4"))
        raise ZeroDivisionError


def test_a_failure_leaves_neither(tmp_path, model, predictor):
    form = Postprocessing(summary=tmp_path / "sum.csv")
    with pytest.raises(ZeroDivisionError):
        fail_half_way(PredictionJob(tmp_path / "t.csv", model, postprocessing=form), predictor)
    assert not list(tmp_path.iterdir())


def test_a_listener_that_fails_harms_no_table_and_is_told_at_the_end(files, model, tmp_path):
    def fail(table, path):
        raise DiskError("a page that can be written", "no room")

    with pytest.raises(DiskError, match="no room"):
        predict_files(files[2:3], PredictionJob(tmp_path / "t.csv", model), listeners=[fail])
    assert len(pd.read_csv(tmp_path / "t.csv")) == 6


def test_a_single_file_is_interrupted_with_the_rows_so_far(model, tmp_path):
    """What is computed goes straight to the table: there is no folder of parts."""
    clip, seen = write_clip(tmp_path / "clip.mp4", 90, sound=False), []

    def interrupt(done, message):
        seen.append((done, message))
        if len(seen) == 2:
            raise KeyboardInterrupt

    job = PredictionJob(
        tmp_path / "t.csv", model, postprocessing=Postprocessing(summary=tmp_path / "s.csv")
    )
    with pytest.raises(Interrupted) as stop:
        predict_files([clip], job, progress=interrupt)
    assert stop.value.output == tmp_path / "t.partial.csv"
    so_far = pd.read_csv(tmp_path / "t.partial.csv")
    assert 0 < len(so_far) == stop.value.results[0].rows < 90
    (problem,) = metadata_of(tmp_path / "t.partial.csv")["problems"]
    assert problem["state"] == "interrupted"
    assert {path.name for path in tmp_path.iterdir()} == {
        *("clip.mp4", "t.partial.csv", "t.partial.csv.meta.json")
    }
    (result,) = predict_files([clip], job)
    assert result.rows == 90
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv")[: len(so_far)], so_far)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("clip.mp4", "t.csv", "t.csv.meta.json", "s.csv", "s.csv.meta.json")
    }


def test_progress_is_by_the_time_in_the_file(model, tmp_path):
    clip, seen = write_clip(tmp_path / "clip.mp4", 100, sound=False), []
    job = PredictionJob(tmp_path / "t.csv", model)
    predict_files([clip], job, progress=lambda done, message: seen.append((done, message)))
    shares = [done for done, _ in seen]
    assert shares == sorted(shares)
    assert 0.2 < shares[0] < 0.5
    assert shares[-1] == 1
    assert seen[0][1] == "clip.mp4, 0:01 of 0:04"

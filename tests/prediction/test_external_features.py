"""Prediction with features of other programs: what training saw of them, and what is refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import skimage.data
import torch
from numpy.testing import assert_allclose, assert_array_equal

import triaffect
from tests.prediction.tiny_model import write_sound, write_tiny_model
from tests.training.recipes import small
from triaffect.cli.app import main
from triaffect.corpora.label_table import LabelTable
from triaffect.errors import MediaError, ModelError, TableError
from triaffect.evaluation.evaluate import evaluate_model
from triaffect.features.external.join import join, stream_spec
from triaffect.features.extraction import extract
from triaffect.features.store import FeatureStore
from triaffect.media.writer import write_video
from triaffect.tasks.registry import TASKS
from triaffect.training.export import export_run
from triaffect.training.scoring import open_run, predict_rows
from triaffect.training.trainer import train

FRAMES, RATE = 24, 12.0
CHANGES = (
    "teacher.updates=['MTL']",
    "student.updates=['MTL']",
    "data.batch_size=8",
    "data.held_out=0",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three clips with labels, their store, and features of three streams joined to it.

    ``clip`` has a row a frame, ``sound`` 10 a second, and ``marks`` is one table of all clips
    with the numbers of faces; rows are missing in each.
    """
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    corpus, labels, marks = folder / "corpus", [], []
    corpus.mkdir()
    for name in ("clip", "sound"):
        (folder / name).mkdir()
    portrait = skimage.data.astronaut()[:256, 96:352]
    for number, split in enumerate(["train", "validation", "test"]):
        frames = [np.roll(portrait, (n % 5, 2 * number), (0, 1)) for n in range(FRAMES)]
        sound = 0.1 * rng.normal(size=32_000).astype(np.float32)
        write_video(corpus / f"v{number}.mp4", frames, RATE, sound)
        for name, count in (("clip", FRAMES), ("sound", 20)):
            rows = rng.normal(size=(count, 5)).astype(np.float32)
            rows[rng.random(count) < 0.2] = np.nan
            np.save(folder / name / f"v{number}.npy", rows)
        for n in range(FRAMES):
            row = {"clip": f"v{number}.mp4", "frame": n, "split": split, "person": str(number)}
            row |= {"valence": np.sin(n / 3), "arousal": -np.sin(n / 3) / 2, "expression": n % 8}
            labels.append(row | dict.fromkeys(TASKS[2].columns, n % 2))
            if n % 4 and not 6 < n < 12:
                mark = {"clip": f"v{number}.mp4", "frame": n, "face_id": 0}
                marks.append(mark | {"a": rng.normal(), "b": rng.normal()})
    pd.DataFrame(labels).to_csv(corpus / "labels.csv", index=False)
    pd.DataFrame(marks).to_csv(folder / "marks.csv", index=False)
    networks = str(write_tiny_model(folder / "tiny"))
    extract(LabelTable(corpus), folder / "store", networks, networks)
    store = FeatureStore.open(folder / "store")
    join(store, folder / "clip", stream_spec("clip", None))
    join(store, folder / "sound", stream_spec("sound", 10.0, offset_s=0.02))
    join(store, folder / "marks.csv", stream_spec("marks", None, patterns=("a", "b")))
    return folder


def finished_run(made, name, *changes):
    folder = made / name
    if not folder.exists():
        store = FeatureStore.open(made / "store")
        export_run(train(small("default", *CHANGES, *changes), store, folder), store)
    return folder


@pytest.fixture
def replaced(made):
    """A run that reads nothing but features of other programs."""
    return finished_run(
        made, "replaced", "data.face=clip", "data.voice=sound", 'data.extra=["marks"]'
    )


@pytest.fixture
def added(made):
    """A run that reads one more stream beside its own networks."""
    return finished_run(made, "added", 'data.extra=["marks"]')


def files_of(made, *names):
    return {name: made / ("marks.csv" if name == "marks" else name) for name in names}


class Recorder:
    """A fusing network that remembers what it was given."""

    def __init__(self, fusion):
        self._fusion, self.part, self.inputs = fusion, fusion.part, []

    def __call__(self, face, face_present, voice, voice_present, extra):
        named = {"face": face, "face_present": face_present, "voice": voice}
        self.inputs.append({**named, "voice_present": voice_present, **extra})
        return self._fusion(face, face_present, voice, voice_present, extra)


@pytest.mark.parametrize("run", ["replaced", "added"])
def test_prediction_sees_the_windows_of_training_and_answers_alike(run, made, request):
    folder = request.getfixturevalue(run)
    streams = ("clip", "sound", "marks") if run == "replaced" else ("marks",)
    model = triaffect.load(folder, features=files_of(made, *streams))
    model._fusion = recorder = Recorder(model._fusion)
    table = model.predict(made / "corpus" / "v2.mp4")

    work, stages = open_run(folder, FeatureStore.open(made / "store"))
    rows = np.flatnonzero(work.samples.rows.split == "test")
    trained = work.samples.inputs(rows)
    assert len(table) == len(rows) == FRAMES
    assert set(trained) == set(recorder.inputs[0])
    for name, values in trained.items():
        seen = np.concatenate([part[name] for part in recorder.inputs])
        assert_allclose(seen, values, atol=1e-5, err_msg=name)
    assert 0 < trained["face_present"].mean() < 1
    assert not trained["extra.marks.present"].all()

    expected = predict_rows(stages[-1].net, work.samples, rows, TASKS)
    for task in TASKS[:1] + TASKS[2:]:
        assert_allclose(table[list(task.columns)], expected[task.key], atol=1e-4)


def test_a_store_scores_the_model_folder_as_the_run(made, replaced):
    store = FeatureStore.open(made / "store")
    shipped = evaluate_model(replaced / "model", store).stages["model"].overall.official
    scored = json.loads((replaced / "scores.json").read_text())["student"]["test"]["MTL"]
    assert shipped == pytest.approx(scored["official"], abs=1e-3)


@pytest.fixture
def run_command(monkeypatch, capsys):
    """Run a command: its exit code, and what it said of mistakes."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["triaffect", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr().err

    return run


def test_the_command_predicts_with_named_files(made, replaced, tmp_path, run_command):
    clip, output = made / "corpus" / "v2.mp4", tmp_path / "out.parquet"
    options = [f"--features={n}={p}" for n, p in files_of(made, "clip", "sound", "marks").items()]
    code, message = run_command("predict", clip, "-o", output, f"--model={replaced}", *options)
    assert code == 0, message
    table = triaffect.predict(
        clip, model=replaced, features=files_of(made, "clip", "sound", "marks")
    )
    assert_array_equal(pd.read_parquet(output)["valence"], table["valence"])


def test_the_only_stream_needs_no_name_and_one_clip_no_folder(made, added, tmp_path):
    clip = made / "corpus" / "v1.mp4"
    rows = pd.read_csv(made / "marks.csv")
    alone = tmp_path / "v1.csv"
    rows[rows["clip"] == "v1.mp4"].drop(columns="clip").to_csv(alone, index=False)
    one = triaffect.load(added, features=alone).predict(clip)
    other = triaffect.predict(clip, model=added, features=made / "marks.csv")
    assert_array_equal(one["valence"], other["valence"])


def test_other_processes_find_the_same_rows(made, added):
    clips = [made / "corpus" / f"v{number}.mp4" for number in (0, 1)]
    one, two = (
        triaffect.predict(clips, model=added, features=made / "marks.csv", jobs=jobs)
        for jobs in (1, 2)
    )
    assert_array_equal(one["valence"], two["valence"])


def test_a_sound_alone_has_a_row_at_each_of_the_voices(made, tmp_path):
    run = finished_run(made, "voiced", "data.voice=sound")
    write_sound(tmp_path / "v0.wav", np.zeros(32_000, np.float32))
    table = triaffect.predict(tmp_path / "v0.wav", model=run, features=made / "sound")
    rows = np.load(made / "sound" / "v0.npy")
    at = np.flatnonzero(np.isfinite(rows).all(1))
    assert_allclose(table["time_s"], at / 10 + 0.02)
    assert table["voice_heard"].all()
    assert table["valence"].notna().all()


def test_a_row_a_frame_needs_frames(made, replaced, tmp_path):
    write_sound(tmp_path / "v0.wav", np.zeros(32_000, np.float32))
    model = triaffect.load(replaced, features=files_of(made, "clip", "sound", "marks"))
    with pytest.raises(MediaError, match="frame rate"):
        model.predict(tmp_path / "v0.wav")


def test_what_is_wrong_with_features_is_one_line(made, added, replaced, tmp_path, run_command):
    def refused(*words):
        code, message = run_command(*words)
        assert code == 2, message
        assert message.count("\n") == 1
        return message

    clip = made / "corpus" / "v2.mp4"
    base = ("predict", clip, "-o", tmp_path / "t.csv", "--model", added)
    assert "--features marks=FILE" in refused(*base)
    assert "features named marks, got 'clip'" in refused(*base, f"--features=clip={made / 'clip'}")
    assert "got no such" in refused(*base, f"--features={tmp_path / 'none'}")
    twice = [f"--features=marks={made / 'marks.csv'}"] * 2
    assert "'marks' twice" in refused(*base, *twice)
    other = tmp_path / "other" / "v2.npy"
    other.parent.mkdir()
    np.save(other, np.zeros((4, 2)))
    assert "a table to choose columns from" in refused(*base, f"--features={other}")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(made / "clip", elsewhere)
    (elsewhere / "v2.npy").unlink()
    names = files_of(made, "sound", "marks") | {"clip": elsewhere}
    options = [f"--features={name}={path}" for name, path in names.items()]
    replaced_base = (*base[:-1], replaced)
    assert "features 'clip' of v2.mp4, got none" in refused(*replaced_base, *options)
    np.save(elsewhere / "v2.npy", np.zeros((4, 7)))
    assert "5 values a row, got 7" in refused(*replaced_base, *options)
    assert "a file for each of clip, sound, marks" in refused(
        *replaced_base, f"--features={elsewhere}"
    )


def test_features_that_fit_two_files_are_refused(made, added, tmp_path):
    clips = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        clips.append(shutil.copy(made / "corpus" / "v0.mp4", tmp_path / name))
    with pytest.raises(TableError, match=r"'v0\.mp4' fits several"):
        triaffect.predict(clips, model=added, features=made / "marks.csv")


def test_features_for_a_model_of_a_video_alone_are_refused(made, tmp_path):
    tiny = write_tiny_model(tmp_path / "plain")
    with pytest.raises(ModelError, match="leave --features out"):
        triaffect.load(tiny, features=made / "clip")

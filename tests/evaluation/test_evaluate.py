"""Scores of a network's predictions on a store: intervals, units, corpora, both protocols."""

import json
from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.datasets.words import words_of
from tests.metrics.test_abaw import made_set
from tests.tasks.toy import PAIN
from tests.training.recipes import small
from tests.training.stores import made_store
from triaffect.datasets.batches import Rows
from triaffect.datasets.windows import WindowSamples
from triaffect.errors import RunError, StoreError, TriaffectError
from triaffect.evaluation.evaluate import ScoredRows, rows_of_split, score_rows
from triaffect.evaluation.minibatch_scores import authors_scores, pools_of_run, pools_of_sets
from triaffect.evaluation.results import Resampling, StageResult
from triaffect.metrics.abaw import per_batch_score, score_targets
from triaffect.tasks.registry import TASKS
from triaffect.training.run_folder import RunFolder
from triaffect.training.scoring import open_run, predict_rows, truth_of
from triaffect.training.trainer import train
from triaffect.types import Moments, Window

NONE, SOME = Resampling(resamples=0), Resampling(resamples=40, seed=3)
VIDEOS = {"a/1": False, "a/2": False, "a/3": False, "b/faces": True}
FILES = {"a/1": "12.mp4", "a/2": "12.mp4", "a/3": "3.mp4", "b/faces": "faces.npz"}
PEOPLE = {"a/1": ["Ann"], "a/2": ["Bob"], "a/3": ["Ann"], "b/faces": ["p0", "p1", "p2", "p3"]}


def made_split(tasks=TASKS, rows=120):
    """Rows of two videos, one with twins, and of stills with four people in turn."""
    truth, said = made_set(rows, 0, tasks)
    source = np.repeat(list(VIDEOS), rows // 4)
    person = [PEOPLE[name][n % len(PEOPLE[name])] for n, name in enumerate(source)]
    moments = {"source": source, "person": person}
    entries = [
        SimpleNamespace(source=name, stills=stills, kind="video", files=[{"path": FILES[name]}])
        for name, stills in VIDEOS.items()
    ]
    store = SimpleNamespace(
        path="store",
        entries=entries,
        sources=list(VIDEOS),
        moments=SimpleNamespace(dictionary_column=lambda name: words_of(moments[name])),
    )
    every = np.arange(rows)
    sets = words_of(np.where(every % 3 == 0, "MTL", "VA"))
    corpus = words_of([name[0] for name in source])
    labels = Rows(every, words_of(["test"] * rows), sets, corpus, truth)
    return ScoredRows(store, SimpleNamespace(rows=labels), every, tasks), said


def test_videos_are_units_and_in_stills_people_are():
    split, _ = made_split()
    units = split.units()
    assert len(np.unique(units[:60])) == len(np.unique(units[60:90])) == 1
    assert units[0] != units[60], "the same person, another video"
    assert len(np.unique(units[90:])) == 4
    assert not set(units[:90]) & set(units[90:])
    for first in range(90, 94):
        assert len(set(units[first::4])) == 1


def test_scores_of_all_rows_and_of_each_corpus():
    split, said = made_split()
    found = score_rows(split, said, NONE)
    truth = split.samples.rows.targets
    assert found.overall.official == pytest.approx(score_targets(truth, said).official)
    assert {name: one.rows for name, one in found.corpora.items()} == {"a": 90, "b": 30}
    assert "intervals" not in found.to_json()["all"]
    task = found.overall.tasks["EXPR"]
    assert sum(map(sum, task.confusion)) == task.count
    right = sum(row[k] for k, row in enumerate(task.confusion))
    assert found.overall.accuracy == {"EXPR": right / task.count}
    assert StageResult(**json.loads(json.dumps(found.to_json()))) == found


def test_a_blank_prediction_is_no_right_answer():
    split, said = made_split()
    before = score_rows(split, said, NONE).overall.accuracy["EXPR"]
    blank = said["EXPR"].copy()
    hit = (blank.argmax(1) == split.samples.rows.targets["EXPR"].values.argmax(1)) & (
        split.samples.rows.targets["EXPR"].valid.all(1)
    )
    blank[hit] = np.nan
    assert before > 0
    assert score_rows(split, {**said, "EXPR": blank}, NONE).overall.accuracy["EXPR"] == 0


def test_intervals_are_by_unit_in_all_rows_and_in_a_corpus():
    split, said = made_split()
    found = score_rows(split, said, SOME)
    assert set(found.overall.intervals.units.values()) == {6}
    assert set(found.corpora["b"].intervals.units.values()) == {4}
    low, high = found.overall.intervals.official["P_MTL"]
    assert low < found.overall.official["P_MTL"] < high
    assert score_rows(split, said, SOME) == found
    assert score_rows(split, said, Resampling(resamples=40, seed=4)) != found


def test_a_fourth_task_has_intervals_and_an_authors_score():
    split, said = made_split((*TASKS, PAIN))
    found = score_rows(split, said, SOME).overall
    low, high = found.intervals.parts["PAIN"]["pain"]
    assert low < found.official["P_PAIN"] < high
    assert found.official["P_PAIN"] == found.tasks["PAIN"].parts["pain"]
    truth, tasks = split.samples.rows.targets, split.tasks
    pool = authors_scores(truth, said, {"MTL": np.arange(0, 120, 3)}, tasks).pools["MTL"]
    assert pool.authors["P_PAIN"] == pytest.approx([pool.official["P_PAIN"]] * 5)


def test_authors_scores_cut_every_pool_into_as_many_batches():
    """I = ceil(n_max / 256) and floor(n / I) rows a batch, here with 16 for 256."""
    split, said = made_split()
    truth = split.samples.rows.targets
    pools = pools_of_sets(split.samples, "test", TASKS)
    assert {name: len(rows) for name, rows in pools.items()} == {"MTL": 40, "VA": 80}
    scores = authors_scores(truth, said, pools, TASKS, seed=4, batch_size=16)
    assert (scores.iterations, scores.seeds) == (5, [4, 5, 6, 7, 8])
    assert {name: one.batch for name, one in scores.pools.items()} == {"MTL": 8, "VA": 16}
    order = np.random.default_rng([4, 0]).permutation(pools["MTL"])
    expected = per_batch_score(truth, said, order.reshape(5, 8)).official
    first = {key: values[0] for key, values in scores.pools["MTL"].authors.items()}
    assert first == pytest.approx(expected)
    assert len(set(scores.pools["MTL"].authors["P_MTL"])) == 5


def test_authors_scores_are_of_the_tasks_that_a_pool_has_labels_of():
    split, said = made_split()
    for key in ("EXPR", "AU"):
        split.samples.rows.targets[key].valid[split.samples.rows.label_set == "VA"] = False
    pools = pools_of_sets(split.samples, "test", TASKS)
    scores = authors_scores(split.samples.rows.targets, said, pools, TASKS).pools
    assert list(scores["MTL"].authors) == ["P_VA", "P_EXPR", "P_AU", "P_MTL"]
    assert list(scores["VA"].authors) == list(scores["VA"].official) == ["P_VA"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module")
def coded(store, tmp_path_factory):
    """A finished run of the as-coded recipe, with the authors' batch size."""
    torch.set_num_threads(1)
    recipe = small("paper_as_coded", "data.batch_size=256")
    return train(recipe, store, tmp_path_factory.mktemp("run"))


def test_the_authors_scores_are_those_that_chose_the_epoch(store, coded):
    lines = [json.loads(line) for line in coded.journal.read_text().splitlines()]
    work, stages = open_run(coded.root, store)
    split = rows_of_split(store, work.samples, "validation", work.tasks)
    for stage in stages:
        best = [line for line in lines if line["stage"] == stage.name and line["best"]][-1]
        said = predict_rows(stage.net, work.samples, split.rows, work.tasks)
        truth = truth_of(split.samples, split.rows)
        pools = {
            name: np.searchsorted(split.rows, rows)
            for name, rows in pools_of_run(work, "validation").items()
        }
        scores = authors_scores(truth, said, pools, work.tasks).pools
        assert list(scores) == ["MTL", "VA", "EXPR", "AU"]
        for pool, one in scores.items():
            for key, values in one.authors.items():
                assert values[0] == pytest.approx(best["validation"][pool][key], abs=1e-6)


def test_pools_are_those_that_updates_draw_from(store, tmp_path):
    """The default recipe's pool ALL, which it selects by, would count every row twice."""
    work = SimpleNamespace(
        recipe=small("default"), pools=lambda _: dict.fromkeys(["MTL", "VA", "EXPR", "AU", "ALL"])
    )
    assert list(pools_of_run(work, "test")) == ["MTL", "VA", "EXPR", "AU"]


def test_a_split_must_exist_and_have_rows(store, coded):
    work, _ = open_run(coded.root, store)
    with pytest.raises(TriaffectError, match=r"--split: .* got 'tset'; did you mean test\?"):
        rows_of_split(store, work.samples, "tset", TASKS)
    rows = work.samples.rows
    moved = words_of(np.where(rows.split == "test", "train", rows.split[:]))
    work.samples.rows = replace(rows, split=moved)
    with pytest.raises(StoreError, match=r"has inputs for, got none of \S+; .* faces and sound"):
        rows_of_split(store, work.samples, "test", TASKS)
    table = store.moments.table
    splits = ["train" if each == "test" else each for each in table["split"].to_pylist()]
    position = table.column_names.index("split")
    without = copy(store)
    field = table.schema.field("split")
    without.moments = Moments(table.set_column(position, field, pa.array(splits)))
    with pytest.raises(StoreError, match=r"split 'test', got none; it has train and validation"):
        rows_of_split(without, work.samples, "test", TASKS)


def test_a_run_without_scores_is_not_finished(store, coded, tmp_path):
    about = coded.description.read_text()
    folder = RunFolder(tmp_path)
    folder.description.write_text(about)
    for stage in ("teacher", "student"):
        path = folder.weights(stage, "best")
        path.parent.mkdir(parents=True)
        path.write_bytes(coded.weights(stage, "best").read_bytes())
    with pytest.raises(RunError, match=r"a finished run, .* --resume"):
        open_run(tmp_path, store)


def test_count_unscored_counts_labelled_rows_without_input(tmp_path):
    store = made_store(tmp_path / "store", videos=4, frames=60)
    window = Window(20, 5)
    loose = WindowSamples(store, TASKS, window, in_frames=True)
    whole = WindowSamples(store, TASKS, window, in_frames=True, complete=True)
    scored = [rows_of_split(store, samples, "test", TASKS) for samples in (loose, whole)]
    assert scored[0].count_unscored() == 0
    assert scored[1].count_unscored() == len(scored[0].rows) - len(scored[1].rows) > 0

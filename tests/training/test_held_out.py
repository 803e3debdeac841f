"""People held out from training: who they are, what chooses on them, and thresholds set there."""

import json
from collections import Counter
from copy import copy

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.recipes import small
from tests.training.stores import made_store
from tests.training.test_leaks import Made, store_of
from triaffect.errors import RunError, TriaffectError
from triaffect.features.model_folder import load_model_folder
from triaffect.metrics import thresholds
from triaffect.metrics.thresholds import best_thresholds, read_thresholds
from triaffect.tasks.registry import TASKS
from triaffect.tasks.registry import task as task_by_key
from triaffect.training.export import export_run, label_origins
from triaffect.training.run_folder import InitialWeights
from triaffect.training.scoring import open_run
from triaffect.training.trainer import train
from triaffect.training.view import (
    choose_units,
    group_people,
    hide_labels,
    hold_out_people,
    use_trusted_labels,
)
from triaffect.types import Moments, Targets

TRAIN = ("train",)


def held(store, share=0.2):
    """People held out, and those left to learn from."""
    moments = hold_out_people(store, share).moments
    split, person = moments.dictionary_column("split")[:], moments.dictionary_column("person")[:]
    return set(person[split == "held out"]), set(person[split == "train"])


def people(count, corpus="made", **more):
    return [Made(f"{corpus}/v{k}", TRAIN, f"{corpus}/p{k}", **more) for k in range(count)]


def test_a_share_of_the_people_is_held_out_and_nobody_is_in_both(tmp_path):
    store = store_of(tmp_path / "s", *people(20), Made("made/w", ("validation",), "made/q"))
    apart, left = held(store)
    assert len(apart) == 4
    assert len(left) == 16
    assert not apart & left
    splits = Counter(hold_out_people(store, 0.2).moments.dictionary_column("split")[:])
    assert splits["validation"] == 12, "other splits stay as they are"
    assert hold_out_people(store, 0.0) is store


def test_the_same_people_whatever_else_is_in_the_store(tmp_path):
    """A face network and the network over its vectors, from different stores, agree."""
    alone = store_of(tmp_path / "a", *people(10))
    among = store_of(tmp_path / "b", *people(8, "other"), *people(10))
    assert held(alone)[0] == {name for name in held(among)[0] if name.startswith("made/")}


def test_people_who_share_a_video_stay_together(tmp_path):
    twins = [
        Made(f"made/v{k}_{side}", TRAIN, f"made/{side}{k}", f"v{k}.mp4")
        for k in range(6)
        for side in ("left", "right")
    ]
    apart, left = held(store_of(tmp_path / "s", *twins))
    assert len(apart) == 2
    assert {name[-1] for name in apart}.isdisjoint(name[-1] for name in left)


def test_people_of_one_set_of_pictures_are_strangers(tmp_path):
    stills = [Made(f"faces/{k}", TRAIN, f"faces/p{k}", "all.npz", stills=True) for k in range(10)]
    store = store_of(tmp_path / "s", *stills)
    assert len(group_people(store, np.arange(len(store.moments)))[1]) == 10
    assert len(held(store)[0]) == 2


def test_every_corpus_and_label_set_has_someone_held_out(tmp_path):
    store = store_of(
        tmp_path / "s",
        *people(20, "large"),
        *people(3, "small"),
        *people(2, "rare", sets=("AU",)),
        *people(1, "single"),
    )
    apart, left = held(store, 0.1)
    assert Counter(name.partition("/")[0] for name in apart) == {"large": 2, "small": 1, "rare": 1}
    assert "single/p0" in left, "nobody is left to learn from otherwise"


@given(
    counts=st.lists(st.lists(st.integers(0, 50), min_size=2, max_size=2), min_size=2, max_size=12),
    share=st.floats(0.01, 0.5),
)
def test_something_is_always_left_to_learn_from(counts, share):
    counts = np.array(counts, float)
    counts = counts[:, counts.sum(0) > 0]
    chosen = choose_units(counts, np.arange(len(counts)), share)
    assert (counts[~chosen].sum(0) > 0).all()


def test_hidden_labels_leave_rows_to_the_label_sets_of_what_is_left(tmp_path):
    store = store_of(tmp_path / "s", *people(10), Made("made/w", ("validation",), "made/q"))
    hidden = hide_labels(store, 0.8, TASKS, seed=1)
    before, after = store.moments, hidden.moments
    person, split = after.dictionary_column("person")[:], after.dictionary_column("split")[:]
    kept = {task.key: after.labeled(task.columns)[0] for task in TASKS}
    for task in TASKS:
        assert len(set(person[kept[task.key] & (split == "train")])) == 2
        reported = split != "train"
        assert (kept[task.key] == before.labeled(task.columns)[0])[reported].all()
    several = np.sum(list(kept.values()), axis=0)
    label_set = after.dictionary_column("label_set")
    for task in TASKS:
        assert set(label_set[(several == 1) & kept[task.key] & (split == "train")]) <= {task.key}
    assert set(label_set[several > 1]) == {"MTL"}
    assert hide_labels(store, 0.0, TASKS, 0) is store
    again = hide_labels(store, 0.8, TASKS, seed=1).moments
    other = hide_labels(store, 0.8, TASKS, seed=2).moments
    assert again.table.equals(after.table)
    assert not other.table.equals(after.table)


def relabelled(store, frame):
    """The store with other labels."""
    changed = copy(store)
    schema = store.moments.table.schema
    changed.moments = Moments(pa.Table.from_pandas(frame, schema, preserve_index=False))
    return changed


def test_where_people_labelled_a_task_nothing_else_is_learnt_of_it(tmp_path):
    made, seen = people(6), people(4, "seen", sets=("EXPR",))
    store = store_of(tmp_path / "s", *made, *seen, Made("seen/w", ("test",), "seen/q"))
    frame = store.moments.table.to_pandas()
    human = frame["person"].isin(["seen/p0", "seen/p1"])
    frame.loc[human, "EXPR_origin"] = "human"
    mixed = relabelled(store, frame)
    left = use_trusted_labels(mixed, ["EXPR"], TASKS).moments.table.to_pandas()
    training = frame["split"] == "train"
    gone, kept = training & ~human, ~training | human
    for task in TASKS:
        before, after = frame[list(task.columns)], left[list(task.columns)]
        assert after[kept].equals(before[kept])
        assert after[gone].isna().all(axis=None) if task.key == "EXPR" else after.equals(before)
    assert frame.loc[gone, "p_other"].notna().any(), "there was something to hide"
    assert set(left.loc[gone & left["AU1"].notna(), "label_set"]) == {"MTL", "AU"}
    assert use_trusted_labels(mixed, [], TASKS) is mixed
    assert use_trusted_labels(store, ["EXPR"], TASKS) is store, "nobody's labels: the others stay"
    assert use_trusted_labels(mixed, ["VA"], TASKS) is mixed
    with pytest.raises(TriaffectError, match="did you mean EXPR"):
        use_trusted_labels(mixed, ["expr"], TASKS)
    told = label_origins(use_trusted_labels(mixed, ["EXPR"], TASKS).moments, TASKS)
    assert told == {"VA": "rendered", "EXPR": "human", "AU": "rendered"}
    told = label_origins(mixed.moments, TASKS)
    assert told["EXPR"] == "human+rendered"


def labels_of(values):
    values = np.array(values, np.float32)
    return Targets(values, ~np.isnan(values), np.ones(len(values), np.float32))


def test_thresholds_are_the_best_of_each_column_and_few_people_set_none():
    unit, rng = task_by_key("AU"), np.random.default_rng(0)
    truth = (rng.random((400, unit.width)) < 0.3).astype(np.float32)
    said = np.where(truth > 0, 0.4, 0.2) + 0.05 * rng.random(truth.shape)
    person = np.arange(400) // 10
    truth[:, 1] = person < 11
    truth[:, 2] = np.nan
    found = best_thresholds({"AU": labels_of(truth)}, {"AU": said}, TASKS, person)
    assert set(unit.columns) - set(found) == {"AU2", "AU4"}
    assert all(0.25 <= found[name] <= 0.4 for name in found)
    tuned = unit.with_thresholds(found).score(truth, said, ~np.isnan(truth)).parts
    assert tuned["AU1"] == 1
    assert best_thresholds({}, {}, TASKS, person) == {}


def test_of_equally_good_thresholds_the_nearest_to_a_half_is_taken():
    truth = np.tile([[0.0], [1.0]], (50, 12))
    said = {"AU": 0.1 + 0.8 * truth}
    found = best_thresholds({"AU": labels_of(truth)}, said, TASKS, np.arange(100))
    assert set(found.values()) == {0.5}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    torch.set_num_threads(1)
    return made_store(tmp_path_factory.mktemp("held") / "store", videos=12, frames=90)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return train(small("default"), store, tmp_path_factory.mktemp("held") / "run")


def test_epochs_are_chosen_on_people_held_out(run):
    lines = [json.loads(line) for line in run.journal.read_text().splitlines()]
    for stage in ("teacher", "student"):
        mine = [line for line in lines if line["stage"] == stage]
        chosen = [line["held_out"]["ALL"]["P_MTL"] for line in mine]
        best = max(k for k, line in enumerate(mine) if line["best"])
        assert chosen[best] == max(chosen)
        assert all("ALL" in line["validation"] for line in mine), "reported all the same"


def test_nobody_held_out_is_learnt_from(store, run, tmp_path):
    """Other labels of theirs change what is chosen, and not one weight."""
    moments = hold_out_people(store, 0.1).moments
    kept = set(
        moments.dictionary_column("source")[moments.dictionary_column("split") == "held out"]
    )
    assert kept
    table = store.moments.table.to_pandas()
    table.loc[table["source"].isin(kept), "valence"] *= -1
    again = train(small("default"), relabelled(store, table), tmp_path / "run")
    weights = [folder.weights("teacher", "last").read_bytes() for folder in (run, again)]
    assert weights[0] == weights[1]
    first, second = (
        json.loads(folder.journal.read_text().splitlines()[0]) for folder in (run, again)
    )
    assert first["held_out"] != second["held_out"]
    assert first["validation"] == second["validation"]


def test_a_stages_thresholds_go_into_scores_and_model(store, tmp_path, monkeypatch):
    monkeypatch.setattr(thresholds, "FEWEST", 1)  # one person is held out of this store
    run = train(small("default"), store, tmp_path / "run")
    found = read_thresholds(run.thresholds("student"))
    assert found
    assert set(found.values()) != {0.5}
    _, stages = open_run(run.root, store)
    assert stages[-1].tasks[-1].thresholds[0] == found["AU1"]
    export_run(run, store)
    assert load_model_folder(run.model).manifest.thresholds == found


def test_thresholds_of_the_start_hold_where_none_are_set(store, run, tmp_path):
    initial = InitialWeights(run.weights("teacher", "best"), "x", {"AU1": 0.3})
    recipe = small("default", "teacher.selection.thresholds=false", "data.held_out=0")
    again = train(recipe, store, tmp_path / "run", initial=initial)
    assert read_thresholds(again.thresholds("teacher")) == {"AU1": 0.3}
    again.thresholds("teacher").write_text("[]")
    with pytest.raises(RunError, match="thresholds"):
        open_run(again.root, store)

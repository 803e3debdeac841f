"""Other splits than a corpus's own: everybody is learnt from, or other people are tested."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.recipes import SMALL, small
from tests.training.stores import crops_store, made_store
from tests.training.test_held_out import relabelled
from tests.training.test_leaks import Made, store_of
from tests.training.test_resume import ends_the_same
from triaffect.errors import StoreError
from triaffect.evaluation.comparison.common_rows import common_rows
from triaffect.evaluation.comparison.systems import find_entries
from triaffect.evaluation.evaluate import evaluate_run
from triaffect.recipes.config import DataSpec
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import task as task_by_key
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.run_folder import InitialWeights, RunFolder
from triaffect.training.stage import StageRun
from triaffect.training.trainer import train
from triaffect.training.view import apply_splits

PLAIN = ("data.held_out=0", "face.precision=float32", "data.batch_size=32")
REFIT = ("data.refit=true", *PLAIN)
TAUGHT = (
    "data.held_out=0",
    "student.stagnation=0",
    "teacher.selection.thresholds=false",
    "student.selection.thresholds=false",
)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    torch.set_num_threads(1)
    return crops_store(tmp_path_factory.mktemp("crops") / "store", rows=48)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Videos of one person each, made/v00 to v07; v02 and v06 for validation, v03 and v07 test."""
    return made_store(tmp_path_factory.mktemp("videos") / "store", frames=60)


def begun(store, recipe):
    """A stage as a run would begin it, without a folder."""
    tasks = [task_by_key(key) for key in recipe.tasks]
    split = apply_splits(store, recipe.data)
    samples = build_samples(recipe.data, split, tasks)
    work = TrainingContext(recipe, split, samples, tasks, RunFolder(Path("nowhere")), 0)
    return StageRun(work, 0)


def splits(store):
    """Split of each person, who has one alone."""
    rows = zip(
        store.moments.dictionary_column("person")[:],
        store.moments.dictionary_column("split")[:],
        strict=True,
    )
    found = set(rows)
    assert len(found) == len({person for person, _ in found})
    return dict(found)


def journal(folder):
    return [json.loads(line) for line in folder.journal.read_text().splitlines()]


def flipped(store, sources):
    """The store with other labels of some sources."""
    table = store.moments.table.to_pandas()
    table.loc[table["source"].isin(sources), ["AU1", "AU2"]] = 1.0
    table.loc[table["source"].isin(sources), "valence"] *= -1
    return relabelled(store, table)


def test_validation_rows_are_learnt_from_and_test_rows_are_not(crops):
    plain, refit = (begun(crops, small("light_face", *each)) for each in (PLAIN, REFIT))
    for run, names in ((plain, {"train"}), (refit, {"train", "validation"})):
        rows = np.concatenate([rows for _, _, rows in run.plan(0).updates(run.kinds)])
        sources = crops.moments.dictionary_column("source")[run.context.samples.rows.moments[rows]]
        assert Counter(sources) == dict.fromkeys(names, 48)
    assert refit.context.pools("validation") == {}
    assert len(refit.context.pools("test")["ALL"]) == 48
    assert set(crops.moments.dictionary_column("split")[:]) == {"train", "validation", "test"}, (
        "as it was"
    )


@pytest.mark.parametrize(("changes", "same"), [(PLAIN, True), (REFIT, False)])
def test_labels_of_validation_change_what_is_learnt(crops, tmp_path, changes, same):
    recipe = small("light_face", *changes, "face.epochs=1")
    one = train(recipe, crops, tmp_path / "one")
    other = train(recipe, flipped(crops, ["validation"]), tmp_path / "other")
    weights = [each.weights("face", "last").read_bytes() for each in (one, other)]
    assert (weights[0] == weights[1]) is same


def test_the_last_epoch_is_kept_and_nothing_is_scored_on_the_way(crops, tmp_path, monkeypatch):
    monkeypatch.setattr(StageRun, "score", lambda *_: pytest.fail("scored"))
    folder = train(small("light_face", *REFIT, "face.epochs=3"), crops, tmp_path / "run")
    best, last = (folder.weights("face", which).read_bytes() for which in ("best", "last"))
    assert best == last
    lines = journal(folder)
    assert [line["event"] for line in lines] == ["epoch"] * 3, "patience does not matter"
    assert not any(line["validation"] or "held_out" in line for line in lines)
    scores = json.loads(folder.scores.read_text())["face"]
    assert scores["validation"] == {}
    assert scores["test"]["ALL"]["official"]


def test_both_generations_learn_from_everybody(store, tmp_path):
    folder = train(small("default", "data.refit=true", *TAUGHT), store, tmp_path / "run")
    for stage in ("teacher", "student"):
        one, other = (load_file(folder.weights(stage, which)) for which in ("best", "last"))
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert not folder.thresholds(stage).exists()


def test_a_killed_refit_ends_as_one_that_was_not(crops, tmp_path):
    recipe = small("light_face", *REFIT, "face.epochs=3", "face.average=0.9")
    ends_the_same(recipe, crops, tmp_path, (2, 3, 2))


def test_given_weights_are_trained_on_however_they_score(store, tmp_path):
    recipe = small("default", "data.refit=true", *TAUGHT, "teacher.epochs=1", "student.epochs=1")
    first = train(recipe, store, tmp_path / "first")
    initial = InitialWeights(first.weights("teacher", "best"), "of the teacher")
    changes = [*SMALL["default"], "data.held_out=0", "data.refit=true", "data.batch_size=64"]
    changes += ["finetune.selection.thresholds=false", "finetune.optimizer.lr=0.5"]
    recipe = load_recipe("finetune", [*changes, "finetune.epochs=2"])
    folder = train(recipe, store, tmp_path / "run", initial=initial)
    assert [line["event"] for line in journal(folder)] == ["epoch", "epoch"], "no start, no end"
    given, kept = load_file(initial.path), load_file(folder.weights("finetune", "best"))
    assert not torch.equal(kept["heads.VA.1.weight"], given["heads.VA.1.weight"])


def test_people_who_are_named_are_tested_in_place_of_their_corpuss_own(tmp_path):
    store = store_of(
        tmp_path / "s",
        Made("one/a", ("train",), "one/ann"),
        Made("one/b", ("test",), "one/bob"),
        Made("one/c", ("validation",), "one/cid"),
        Made("one/d", ("train",), "one/dan"),
        Made("two/e", ("test",), "two/eve"),
        Made("two/f", ("train",), "two/ann"),
    )
    before = splits(store)

    def tested(*people, refit=False):
        data = DataSpec(input="windows", pools={"ALL": ("MTL",)}, test_people=people, refit=refit)
        return splits(apply_splits(store, data))

    after = tested("one/ann", "one/cid")
    assert after == before | {"one/ann": "test", "one/cid": "test", "one/bob": "train"}
    assert tested("one/bob") == before
    assert splits(store) == before, "the store is not changed"
    assert tested("one/ann", refit=True) == {
        "one/ann": "test", "one/bob": "train", "one/cid": "train", "one/dan": "train",
        "two/eve": "test", "two/ann": "train",
    }  # fmt: skip


def test_unknown_people_are_named(store, tmp_path):
    recipe = small("default", "data.test_people=['made/v00', 'made/nobody', 'emodb/99']")
    with pytest.raises(
        StoreError, match=r"unknown ones: made/nobody, emodb/99; .*made/v00"
    ) as told:
        train(recipe, store, tmp_path / "run")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


SWAPPED = (
    "data.held_out=0",
    "data.test_people=['made/v00']",
    "teacher.epochs=1",
    "student.epochs=1",
)


@pytest.fixture(scope="module")
def swapped(store, tmp_path_factory):
    """A run that tests one who is else learnt from, and learns from the usual test people."""
    recipe = small("default", *SWAPPED)
    return recipe, train(recipe, store, tmp_path_factory.mktemp("swapped") / "run")


@pytest.mark.parametrize(("source", "learnt"), [("made/v03", True), ("made/v00", False)])
def test_who_is_tested_no_more_is_learnt_from(store, swapped, tmp_path, source, learnt):
    recipe, folder = swapped
    again = train(recipe, flipped(store, [source]), tmp_path / "run")
    weights = [each.weights("teacher", "last").read_bytes() for each in (folder, again)]
    assert (weights[0] != weights[1]) is learnt
    scores = [json.loads(each.scores.read_text())["teacher"] for each in (folder, again)]
    assert scores[0]["test"] != scores[1]["test"]


def test_a_run_is_evaluated_on_the_people_that_it_tested(store, swapped, tmp_path):
    """Not on those of the corpus, whom it has learnt from; on another store, on all there are."""
    _, folder = swapped
    own = json.loads(folder.scores.read_text())["student"]["test"]["ALL"]["official"]
    found = evaluate_run(folder.root, store).stages["student"].overall
    assert found.official == pytest.approx(own)
    assert 200 < found.rows <= 60 * 4, "of one person; some rows have no label"
    others = [Made(f"else/{split}", (split,)) for split in ("train", "test")]
    other = store_of(tmp_path / "other", *others, frames=30)
    found = evaluate_run(folder.root, other).stages["student"].overall
    assert 20 < found.rows <= 30


def test_a_refit_is_not_evaluated_on_what_it_learnt(crops, tmp_path):
    folder = train(small("light_face", *REFIT, "face.epochs=1"), crops, tmp_path / "run")
    with pytest.raises(StoreError, match="labelled rows of the split 'validation', got none"):
        evaluate_run(folder.root, crops, "validation")
    assert evaluate_run(folder.root, crops).stages["face"].overall.rows == 48


def test_runs_are_compared_on_people_whom_none_of_them_learnt_from(store, swapped, tmp_path):
    _, folder = swapped
    other = small(
        "default", "name=other", "data.held_out=0", "teacher.epochs=1", "student.epochs=1"
    )
    plain = train(other, store, tmp_path / "plain")
    entries = find_entries([str(folder.root)], store, tmp_path / "runs", [0])
    common, errors = common_rows(entries, store, "test")
    assert not errors
    assert set(store.moments.dictionary_column("source")[common.moments]) == {"made/v00"}
    entries += find_entries([str(plain.root)], store, tmp_path / "runs", [0])
    with pytest.raises(StoreError, match="that all entries have inputs for"):
        common_rows(entries, store, "test")


def test_leaks_are_looked_for_in_the_splits_that_are_learnt_from(tmp_path):
    videos = [Made(f"made/v{k}", ("train",), f"made/p{k}") for k in range(3)]
    twins = [Made(f"made/w_{side}", ("train",), f"made/{side}", "w.mp4") for side in ("l", "r")]
    across = Made("made/x", ("train", "validation"), "made/x")
    ends = [Made("made/y", ("validation",), "made/y"), Made("made/z", ("test",), "made/z")]
    quick = ("teacher.epochs=1", "student.epochs=1", "data.batch_size=32", "data.min_batch=8")
    store = store_of(tmp_path / "twins", *videos, *twins, *ends, frames=40)
    recipe = small("default", *TAUGHT, *quick, "data.test_people=['made/l']")
    with pytest.raises(StoreError, match=r"1 videos .* in several"):
        train(recipe, store, tmp_path / "run")
    store = store_of(tmp_path / "across", *videos, across, *ends, frames=40)
    with pytest.raises(StoreError, match=r"1 people .* in several"):
        train(small("default", *TAUGHT, *quick), store, tmp_path / "run")
    train(small("default", *TAUGHT, *quick, "data.refit=true"), store, tmp_path / "run")

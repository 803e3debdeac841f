"""A budget of updates or seconds that every recipe of a comparison spends."""

import json
from types import SimpleNamespace

import pytest
import torch

from tests.evaluation.comparisons import recipe_files
from tests.siblings.made import small
from tests.training.stores import made_store
from tests.training.test_resume import KilledError, killing
from triaffect.errors import RecipeError
from triaffect.evaluation.comparison.budgets import NO_BUDGET, Budget
from triaffect.evaluation.comparison.common_rows import common_rows
from triaffect.evaluation.comparison.results import compare_systems, find_baseline
from triaffect.evaluation.comparison.runs import ComparisonSettings, RunJob, run_jobs
from triaffect.evaluation.comparison.systems import find_entries
from triaffect.evaluation.results import Resampling
from triaffect.features.store import FeatureStore
from triaffect.recipes.load import load_recipe, recipe_hash
from triaffect.training import trainer
from triaffect.training.trainer import train

UPDATES = 120


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("budgets")
    made_store(folder / "store", videos=8, frames=50)
    files = recipe_files(folder / "recipes")
    return SimpleNamespace(folder=folder, files=files, store=FeatureStore.open(folder / "store"))


def recipes(place):
    return [load_recipe(place.files["plain"]), load_recipe(place.files["taught"])] + [
        small(name) for name in ("deng2020_incomplete", "emenet", "ruc_aim3")
    ]


def planned(recipe, kinds):
    """Steps of the optimizer that a recipe's stages will make."""
    return sum(
        stage.epochs * stage.steps_per_epoch * (kinds if stage.joint_step == "off" else 1)
        for stage in recipe.stages.values()
        if not stage.ensemble
    )


def test_every_recipe_makes_so_many_updates_and_no_stage_stops_early(place):
    for recipe in recipes(place):
        limited = Budget(updates=1000).apply(recipe, place.store)
        kinds = {len(each.updates) for each in limited.stages.values() if not each.ensemble}
        assert len(kinds) == 1, "the store has rows of every set"
        assert planned(limited, kinds.pop()) == pytest.approx(1000, rel=0.03), recipe.name
        for name, stage in limited.stages.items():
            own = recipe.stages[name]
            if stage.ensemble:
                assert stage == own
                continue
            assert own.epochs / 2 <= stage.epochs <= own.epochs
            assert stage.selection.patience == stage.epochs
            assert stage.optimizer == own.optimizer
        assert recipe_hash(limited) != recipe_hash(recipe)
        assert NO_BUDGET.apply(recipe, place.store) is recipe


def test_stages_share_seconds_as_they_share_updates(place):
    recipe = small("emenet")
    limited = Budget(seconds=60).apply(recipe, place.store)
    seconds = {name: each.seconds for name, each in limited.stages.items()}
    trained = [name for name, each in recipe.stages.items() if not each.ensemble]
    assert sum(seconds.values()) == pytest.approx(60)
    assert {seconds[name] for name in trained} == {60 / len(trained)}
    assert all(not seconds[name] for name in seconds if name not in trained)


def test_two_budgets_or_none_to_train_are_refused(place):
    with pytest.raises(RecipeError, match="expected one budget, got --updates and --seconds"):
        Budget(10, 10.0)


def compared(place, out, budget):
    """The comparison of two recipes with a budget, and the run of the first."""
    what = [place.files["plain"], place.files["taught"]]
    entries = find_entries(what, place.store, place.folder / out, range(2), budget=budget)
    common, _ = common_rows(entries, place.store, "test")
    jobs = [RunJob(e.name, s, e.recipe, e.runs[s]) for e in entries for s in range(2)]
    done = list(run_jobs(jobs, ComparisonSettings(place.store.path, common)))
    assert [each.error for each in done] == [""] * 4
    baseline = find_baseline(entries, None)
    found = compare_systems(entries, done, common, baseline, Resampling(resamples=20), {}, "store")
    return found, entries


def test_updates_are_made_and_told_with_what_they_cost(place):
    found, entries = compared(place, "updates", Budget(updates=UPDATES))
    assert list(found.systems) == ["plain", "taught/teacher", "taught/student"]
    plain, teacher, student = (each.cost for each in found.systems.values())
    assert plain.updates == pytest.approx(UPDATES, rel=0.05)
    assert student.updates == pytest.approx(UPDATES, rel=0.05)
    assert 0 < teacher.updates < student.updates, "with those of its teacher"
    for cost in (plain, teacher, student):
        assert cost.processor_seconds > 0
        assert 50 < cost.peak_mb < 5000
    run = entries[0].runs[0]
    with pytest.raises(RecipeError, match="finished runs alone"):
        find_entries([str(run)], place.store, place.folder, [0], budget=Budget(updates=5))


def test_seconds_are_spent_and_no_more_than_an_update_beyond(place):
    found, entries = compared(place, "seconds", Budget(seconds=1.0))
    for system, share in (("plain", 1.0), ("taught/student", 1.0)):
        spent = found.systems[system].cost.processor_seconds
        assert spent == pytest.approx(share, abs=0.8), "with the last scores"
    events = (entries[0].runs[0] / "journal.jsonl").read_text().splitlines()
    epochs = [json.loads(line) for line in events if '"epoch"' in line]
    assert len(epochs) > entries[0].recipe.stages["supervised"].epochs


def test_what_a_killed_run_has_spent_counts_when_it_goes_on(place, monkeypatch, tmp_path):
    """With a clock of our own: an update takes a second."""
    ticks = iter(range(10_000))
    fake = SimpleNamespace(process_time=lambda: float(next(ticks)), monotonic=lambda: 0.0)
    monkeypatch.setattr(trainer, "time", fake)
    recipe = Budget(seconds=200).apply(load_recipe(place.files["plain"]), place.store)
    how = {"seed": 1, "resume": True, "checkpoint_every_s": -1.0}

    def updates(out):
        lines = map(json.loads, (out / "journal.jsonl").read_text().splitlines())
        return sum(line["updates"] for line in lines if line["event"] == "epoch")

    train(recipe, place.store, tmp_path / "whole", **how)
    with pytest.raises(KilledError):
        train(recipe, place.store, tmp_path / "cut", report=killing(9), **how)
    train(recipe, place.store, tmp_path / "cut", **how)
    assert updates(tmp_path / "cut") == pytest.approx(updates(tmp_path / "whole"), rel=0.2)

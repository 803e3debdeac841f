"""Entries, the rows they share, what runs say of each video, and what follows from it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.evaluation.comparisons import recipe_files
from tests.prediction.tiny_model import write_tiny_model
from tests.training.stores import made_store
from triaffect.errors import RecipeError, RunError, StoreError, TriaffectError
from triaffect.evaluation.comparison import runs as compared_runs
from triaffect.evaluation.comparison import statistics as run_statistics_module
from triaffect.evaluation.comparison import systems
from triaffect.evaluation.comparison.common_rows import common_rows
from triaffect.evaluation.comparison.results import Comparison, compare_systems, find_baseline
from triaffect.evaluation.comparison.runs import ComparisonSettings, RunJob, run_jobs
from triaffect.evaluation.comparison.statistics import run_statistics
from triaffect.evaluation.comparison.systems import find_entries
from triaffect.evaluation.results import Resampling
from triaffect.features.store import FeatureStore
from triaffect.metrics.abaw import score_targets
from triaffect.metrics.bootstrap import bootstrap
from triaffect.metrics.paired import drawn_units, resample_scores, score_names
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS
from triaffect.training.device import TorchDevice
from triaffect.training.run_folder import InitialWeights
from triaffect.training.scoring import open_run, predict_rows, truth_of
from triaffect.training.trainer import train
from triaffect.training.view import LeakChoice, hide_labels, hold_out_people

SEEDS = range(2)


def compare(entries, done, common, baseline, resamples):
    """The comparison, by way of its JSON."""
    resampling = Resampling(resamples=resamples)
    comparison = compare_systems(entries, done, common, baseline, resampling, {}, "store")
    content = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert Comparison(**content) == comparison
    return content


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store, recipe files, and every run of both recipes."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("compare")
    made_store(folder / "store", videos=12, frames=50)
    files = recipe_files(folder / "recipes")
    store = FeatureStore.open(folder / "store")
    entries = find_entries([files["plain"], files["taught"]], store, folder / "runs", SEEDS)
    common, errors = common_rows(entries, store, "test")
    assert not errors
    jobs = [RunJob(e.name, seed, e.recipe, e.runs[seed]) for e in entries for seed in SEEDS]
    done = list(run_jobs(jobs, ComparisonSettings(folder / "store", common)))
    assert [each.error for each in done] == [""] * 4
    return SimpleNamespace(
        folder=folder, files=files, store=store, entries=entries, common=common, done=done
    )


def test_common_rows_are_those_that_all_have_inputs_for(place):
    assert (
        place.common.available["taught"]
        > place.common.available["plain"]
        == len(place.common.moments)
    )
    frames = place.store.moments.column("frame")[place.common.moments]
    assert frames.min() == 20, "where the first complete window of the plain recipe ends"
    assert place.common.units == 3
    sources = place.store.moments.dictionary_column("source")[place.common.moments]
    assert len({(s, u) for s, u in zip(sources, place.common.unit, strict=True)}) == 3
    alone, _ = common_rows(place.entries[1:], place.store, "test")
    assert len(alone.moments) == place.common.available["taught"]
    turned, _ = common_rows(place.entries[::-1], place.store, "test")
    assert turned.moments.tolist() == place.common.moments.tolist()
    assert turned.unit.tolist() == place.common.unit.tolist()


def test_scores_are_those_of_the_rows(place):
    """Against predictions made here, scored as a whole set."""
    found = compare(place.entries, place.done, place.common, ("plain", "supervised"), 50)
    for name, entry, seed in (("plain", "plain", 1), ("taught/student", "taught", 0)):
        folder = next(e for e in place.entries if e.name == entry).runs[seed]
        work, stages = open_run(folder, place.store)
        rows = np.flatnonzero(np.isin(work.samples.rows.moments, place.common.moments))
        said = predict_rows(stages[-1].net, work.samples, rows, TASKS)
        score = score_targets(truth_of(work.samples, rows), said, stages[-1].tasks)
        told = found["systems"][name]["seeds"][str(seed)]["scores"]
        assert {k: v for k, v in told.items() if "." not in k} == pytest.approx(score.official)
        assert told["VA.arousal"] == pytest.approx(score.tasks["VA"].parts["arousal"])


def test_differences_are_of_the_same_seeds_and_videos(place):
    found = compare(place.entries, place.done, place.common, ("plain", "supervised"), 50)
    assert list(found["systems"]) == ["plain", "taught/teacher", "taught/student"]
    assert found["baseline"] == "plain"
    base, student = found["systems"]["plain"], found["systems"]["taught/student"]
    assert "difference" not in base
    for name, gap in student["difference"].items():
        each = [
            student["seeds"][str(k)]["scores"][name] - base["seeds"][str(k)]["scores"][name]
            for k in SEEDS
        ]
        assert gap["mean"] == pytest.approx(np.mean(each), abs=1e-12)
        assert gap["mean"] == pytest.approx(student["mean"][name] - base["mean"][name], abs=1e-12)
        assert gap["better"] == sum(value > 0 for value in each)
        assert gap["interval"][0] <= gap["interval"][1]
    assert student["sd"]["P_VA"] == pytest.approx(
        np.std([student["seeds"][str(k)]["scores"]["P_VA"] for k in SEEDS], ddof=1)
    )


def test_systems_of_other_tasks_share_what_both_are_scored_by(place, tmp_path):
    """The sum over other tasks is another sum."""
    changes = ["name=fewer", 'tasks=["VA", "EXPR"]']
    entries = find_entries([place.files["taught"]], place.store, tmp_path, [0], changes)
    shutil.copytree(place.entries[1].runs[0], tmp_path / "copy")
    entries.append(replace(place.entries[1], runs={0: tmp_path / "copy"}))
    common, _ = common_rows(entries, place.store, "test")
    jobs = [RunJob(each.name, 0, each.recipe, each.runs[0]) for each in entries]
    done = list(run_jobs(jobs, ComparisonSettings(place.folder / "store", common)))
    assert [each.error for each in done] == ["", ""]
    found = compare(entries, done, common, ("taught", "student"), 5)
    fewer = found["systems"]["fewer/student"]
    assert fewer["mean"]["P_MTL"] == pytest.approx(fewer["mean"]["P_VA"] + fewer["mean"]["P_EXPR"])
    assert {"P_VA", "P_EXPR", "VA.valence"} < fewer["difference"].keys()
    assert not {"P_MTL", "P_AU"} & fewer["difference"].keys()


def test_against_itself_nothing_differs(place):
    found = compare(place.entries, place.done, place.common, ("taught", "teacher"), 20)
    again = compare(place.entries, place.done, place.common, ("taught", "student"), 20)
    one = found["systems"]["taught/student"]["difference"]["P_MTL"]
    two = again["systems"]["taught/teacher"]["difference"]["P_MTL"]
    assert one["mean"] == pytest.approx(-two["mean"])
    assert one["interval"] == pytest.approx([-end for end in reversed(two["interval"])])


def test_the_draws_of_videos_are_those_of_evaluate(place):
    (outcome,) = (each for each in place.done if each.job.entry == "plain" and each.job.seed == 0)
    statistics = outcome.stages["supervised"].statistics
    own = resample_scores(statistics, TASKS, drawn_units(place.common.units, 100, 3))
    ends = bootstrap(statistics, TASKS, 100, 3).official["P_MTL"]
    k = score_names(TASKS).index("P_MTL")
    assert ends == pytest.approx(np.quantile(own.drawn[:, k], [0.025, 0.975]))


def test_cost_is_what_the_journal_says(place):
    found = compare(place.entries, place.done, place.common, ("plain", "supervised"), 0)
    teacher, student = (
        found["systems"][f"taught/{each}"]["cost"] for each in ("teacher", "student")
    )
    lines = []
    for seed in SEEDS:
        journal = (place.entries[1].runs[seed] / "journal.jsonl").read_text().splitlines()
        lines += [json.loads(line) for line in journal]
    own = sum(line["seconds"] for line in lines if line.get("stage") == "student") / 2
    assert student["seconds"] == pytest.approx(own, abs=0.011)
    assert student["seconds_in_all"] == pytest.approx(own + teacher["seconds"], abs=0.03)
    assert teacher["seconds_in_all"] == teacher["seconds"]
    assert student["epochs"] == 2
    rows, labels = learnt(hold_out_people(place.store, 0.1))
    assert (student["rows"], student["labels"]) == (rows, labels)
    assert rows < learnt(place.store)[0], "one of six people is held out"
    assert found["systems"]["taught/student"]["difference"]["P_VA"]["interval"] is None


def learnt(store):
    """Training rows with any label, and how many tasks they have labels of."""
    train = store.moments.dictionary_column("split") == "train"
    labelled = [store.moments.labeled(task.columns)[0] & train for task in TASKS]
    return np.any(labelled, axis=0).sum(), sum(each.sum() for each in labelled)


def test_hidden_labels_and_leaks_do_not_count_as_learnt(place, tmp_path):
    recipe = load_recipe(place.files["taught"], ["data.hide_labels=0.5", "data.held_out=0"])
    job = RunJob("taught", 3, recipe, tmp_path / "run")
    (found,) = run_jobs([job], ComparisonSettings(place.folder / "store", place.common))
    rows, labels = learnt(hide_labels(place.store, 0.5, TASKS, 3))
    assert (found.stages["student"].rows, found.stages["student"].labels) == (rows, labels)
    assert labels < 0.7 * learnt(place.store)[1]
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**about, "data": "another store's"}))
    (tmp_path / "run" / "statistics-test.safetensors").unlink()
    other = run_statistics(tmp_path / "run", place.store, place.common)
    assert (other["student"].rows, other["student"].labels) == (None, None)


def test_thresholds_of_a_stage_count(place, tmp_path):
    """And what was kept with other thresholds does not."""
    shutil.copytree(place.entries[1].runs[0], tmp_path / "run")
    before = run_statistics(tmp_path / "run", place.store, place.common)["student"].statistics
    every = dict.fromkeys([column for task in TASKS for column in task.threshold_columns], 0.001)
    (tmp_path / "run/stages/student/thresholds.json").write_text(json.dumps(every))
    after = run_statistics(tmp_path / "run", place.store, place.common)["student"].statistics
    (units,) = (task.key for task in TASKS if task.threshold_columns)
    assert after[units].tolist() != before[units].tolist()
    assert after["VA"].tolist() == before["VA"].tolist()


def test_run_statistics_are_cached(place, monkeypatch):
    folder = place.entries[1].runs[0]
    again = next(each for each in place.done if each.job.folder == folder)
    monkeypatch.setattr(run_statistics_module, "open_run", None)
    found = run_statistics(folder, place.store, place.common)
    assert found.keys() == again.stages.keys()
    for name, stage in found.items():
        assert stage.statistics.keys() == {task.key for task in TASKS}
        for key, values in stage.statistics.items():
            assert values.tolist() == again.stages[name].statistics[key].tolist()
        assert stage.rows == again.stages[name].rows


def test_run_statistics_of_other_rows_or_weights_are_computed_anew(place, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(place.entries[1].runs[0], folder)
    shutil.copyfile(
        place.entries[1].runs[0] / "stages/teacher/best.safetensors",
        folder / "stages/student/best.safetensors",
    )
    common, _ = common_rows(place.entries, place.store, "test")
    found = run_statistics(folder, place.store, common)
    student, teacher = (found[name].statistics["VA"] for name in ("student", "teacher"))
    assert student.tolist() == teacher.tolist()
    alone, _ = common_rows(place.entries[1:], place.store, "test")
    more = run_statistics(folder, place.store, alone)
    assert more["teacher"].statistics["VA"][:, 0].sum() > teacher[:, 0].sum()
    (folder / "statistics-test.safetensors").write_bytes(b"junk")
    again = run_statistics(folder, place.store, alone)
    assert again["teacher"].statistics["VA"].tolist() == more["teacher"].statistics["VA"].tolist()


def test_run_statistics_need_vectors_of_the_run_networks(place, tmp_path):
    shutil.copytree(place.entries[1].runs[0], tmp_path / "run")
    write_tiny_model(tmp_path / "run" / "model")
    (tmp_path / "run" / "statistics-test.safetensors").unlink()
    with pytest.raises(StoreError, match="--face"):
        run_statistics(tmp_path / "run", place.store, place.common)


def test_processes_give_the_same(place, tmp_path):
    recipe = load_recipe(place.files["taught"])
    jobs = [RunJob("taught", seed, recipe, tmp_path / f"seed-{seed}") for seed in SEEDS]
    beside = list(run_jobs(jobs, ComparisonSettings(place.folder / "store", place.common), 2))
    before = {each.job.seed: each for each in place.done if each.job.entry == "taught"}
    for each in beside:
        assert each.trained
        for name, stage in each.stages.items():
            for key, values in stage.statistics.items():
                own = before[each.job.seed].stages[name].statistics[key]
                assert values.tolist() == own.tolist()


def test_run_folders_are_seeds_of_one_entry(place):
    runs = [str(place.entries[1].runs[seed]) for seed in SEEDS]
    (found,) = find_entries(runs, place.store, place.folder / "none", range(5))
    assert found.name == "taught"
    assert list(found.runs) == [0, 1]
    (found,) = find_entries(
        [place.files["taught"], runs[1]], place.store, place.folder / "other", range(3)
    )
    assert found.runs[1] == place.entries[1].runs[1]
    assert found.runs[2] == place.folder / "other" / "taught" / "seed-2"


def test_a_folder_may_be_called_as_a_shipped_recipe(place, tmp_path, monkeypatch):
    """As they are in the present folder when ``--out .`` is given again."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    (found,) = find_entries(["default"], place.store, Path(), range(1))
    assert found.runs == {0: Path("default/seed-0")}


def test_runs_are_trained_as_the_settings_say(place, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(compared_runs, "train", lambda *_, **options: given.update(options))
    job = RunJob("taught", 0, load_recipe(place.files["taught"]), tmp_path / "run")
    meta = TorchDevice(torch.device("meta"))
    settings = ComparisonSettings(
        place.folder / "store", place.common, leaks=LeakChoice.DROP, device=meta, threads=1
    )
    list(run_jobs([job], settings))
    assert (given["device"], given["leaks"], given["resume"]) == (meta, LeakChoice.DROP, True)


def test_a_recipe_that_starts_from_a_model_is_compared_with_one_that_does_not(
    place, tmp_path, monkeypatch
):
    initial = InitialWeights(tmp_path / "weights", "a hash")
    monkeypatch.setattr(
        systems, "find_initial_weights", lambda name, *_: {"default": initial}[name]
    )
    what = ["finetune", place.files["taught"]]
    tuned, taught = find_entries(what, place.store, tmp_path, SEEDS, init="default")
    assert (tuned.initial, tuned.identity.initial) == (initial, "a hash")
    assert (taught.initial, taught.identity.initial) == (None, None)
    options = {}
    monkeypatch.setattr(compared_runs, "train", lambda *_, **given: options.update(given))
    job = RunJob("finetune", 0, tuned.recipe, tuned.runs[0], tuned.initial)
    list(run_jobs([job], ComparisonSettings(place.folder / "store", place.common)))
    assert options["initial"] == initial


def mistakes(place, tmp_path):
    run = str(place.entries[1].runs[0])
    other = tmp_path / "other.toml"
    other.write_text(f'extends = "{place.files["taught"]}"\n[net]\nwidth = 20\n')
    yield (
        RecipeError,
        [place.files["taught"], str(other)],
        {},
        "two named taught, which differ in their",
    )
    yield RecipeError, ["taught"], {}, "'taught'"
    yield RecipeError, ["finetune"], {}, "--init default"
    yield RecipeError, [run], {"changes": ["teacher.epochs=1"]}, "--set"
    yield RecipeError, [place.files["taught"]], {"init": "default"}, "--init: .*such as finetune"
    outside = tmp_path / "outside.toml"
    outside.write_text(f'extends = "{place.files["taught"]}"\nname = "../outside"\n')
    yield RecipeError, [str(outside)], {}, "../outside"
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    yield RunError, [run, str(copy)], {}, "one run of taught with seed 0"
    (copy / "scores.json").unlink()
    yield RunError, [str(copy)], {}, "one without scores"
    yield RunError, [str(tmp_path)], {}, "run.json"
    yield (
        RunError,
        [place.files["taught"]],
        {"changes": ["net.width=20"]},
        "another, by their recipes",
    )


def test_find_entries_refuses_mistakes_before_anything_is_trained(place, tmp_path):
    for kind, what, more, message in mistakes(place, tmp_path):
        with pytest.raises(kind, match=message):
            find_entries(what, place.store, place.folder / "runs", SEEDS, **more)


def test_a_folder_of_another_store_or_seed_is_an_error(place, tmp_path):
    made_store(tmp_path / "store", videos=4, frames=30)
    with pytest.raises(RunError, match="the store they learn from"):
        find_entries(
            [place.files["taught"]],
            FeatureStore.open(tmp_path / "store"),
            place.folder / "runs",
            [0],
        )
    shutil.copytree(place.entries[1].runs[0], tmp_path / "runs" / "taught" / "seed-7")
    with pytest.raises(RunError, match="another, by seed"):
        find_entries([place.files["taught"]], place.store, tmp_path / "runs", [7])


def test_a_half_done_run_goes_on(place, tmp_path):
    recipe = load_recipe(place.files["taught"])

    def stop(stage, *_):
        if stage == "student":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, place.store, tmp_path / "half", 1, report=stop)
    job = RunJob("taught", 1, recipe, tmp_path / "half")
    (found,) = run_jobs([job], ComparisonSettings(place.folder / "store", place.common))
    before = next(e for e in place.done if e.job.entry == "taught" and e.job.seed == 1)
    own = before.stages["student"].statistics["VA"]
    assert found.stages["student"].statistics["VA"].tolist() == own.tolist()


def test_one_that_fails_does_not_stop_the_others(place, tmp_path, monkeypatch):
    entries = find_entries(
        [place.files["broken"], place.files["taught"]], place.store, tmp_path, SEEDS
    )
    shared, errors = common_rows(entries, place.store, "test")
    assert shared.available.keys() == {"taught"}
    assert "lips" in errors["broken"]
    recipe = load_recipe(place.files["taught"])
    jobs = [
        RunJob("broken", 0, load_recipe(place.files["broken"]), tmp_path / "broken"),
        RunJob("taught", 0, recipe, place.folder / "runs" / "taught" / "seed-0"),
    ]
    found = list(run_jobs(jobs, ComparisonSettings(place.folder / "store", place.common)))
    assert "lips" in found[0].error
    assert found[1].stages
    monkeypatch.setattr(compared_runs, "train", lambda *_, **__: 1 / 0)
    (found,) = run_jobs([jobs[0]], ComparisonSettings(place.folder / "store", place.common))
    assert "ZeroDivisionError in test_comparison.py" in found.error


def test_baselines(place):
    entries = place.entries
    assert find_baseline(entries, None) == ("plain", "supervised")
    assert find_baseline(entries, "taught") == ("taught", "student")
    assert find_baseline(entries, "taught/teacher") == ("taught", "teacher")
    with pytest.raises(TriaffectError, match="did you mean taught/teacher"):
        find_baseline(entries, "taught/teachr")


def test_a_baseline_that_failed_leaves_scores(place):
    lost = [each for each in place.done if each.job.entry != "plain"]
    found = compare(place.entries, lost, place.common, ("plain", "supervised"), 5)
    assert list(found["systems"]) == ["taught/teacher", "taught/student"]
    assert all("difference" not in each for each in found["systems"].values())


def test_a_split_without_rows_is_an_error(place):
    with pytest.raises(TriaffectError, match="'tset'; did you mean test"):
        common_rows(place.entries, place.store, "tset")

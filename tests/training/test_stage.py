"""What a stage does with its recipe's words."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.recipes import small
from tests.training.stores import crops_store, made_store
from triaffect.datasets.batches import make_batch
from triaffect.errors import RecipeError, RunError, StoreError, TriaffectError
from triaffect.evaluation.evaluate import rows_of_split
from triaffect.metrics.abaw import chance_score
from triaffect.tasks.registry import TASKS
from triaffect.tasks.registry import task as task_by_key
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.checkpoint import read_progress, write_tensors
from triaffect.training.run_folder import RunFolder, read_description
from triaffect.training.scoring import open_run, truth_of
from triaffect.training.stage import StageRun
from triaffect.training.trainer import check_stages, train


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module")
def coded(store, tmp_path_factory):
    """A finished run of the as-coded recipe."""
    torch.set_num_threads(1)
    return train(small("paper_as_coded"), store, tmp_path_factory.mktemp("run"))


def work(store, recipe, folder=Path("nowhere")):
    tasks = [task_by_key(key) for key in recipe.tasks]
    samples = build_samples(recipe.data, store, tasks)
    return TrainingContext(recipe, store, samples, tasks, RunFolder(folder), 0)


@pytest.mark.parametrize("which", ["best", "last"])
def test_the_student_learns_from_the_teacher_that_the_recipe_names(store, coded, tmp_path, which):
    folder = RunFolder(tmp_path)
    for name, scale in (("best", 1.0), ("last", 2.0)):
        weights = load_file(coded.weights("teacher", name))
        scaled = {k: v * scale if v.is_floating_point() else v for k, v in weights.items()}
        write_tensors(folder.weights("teacher", name), scaled)
    recipe = small("paper_as_coded", f"student.teacher_weights={which}")
    student = StageRun(work(store, recipe, tmp_path), 1)
    weights = load_file(folder.weights("teacher", which))
    taught = student.teacher.state_dict()
    assert all(torch.equal(taught[name], value) for name, value in weights.items())
    assert not student.teacher.training
    assert not any(p.requires_grad for p in student.teacher.parameters())


def test_one_step_count_runs_through_both_generations(store, coded):
    recipe = small("paper_as_coded")
    first = StageRun(work(store, recipe), 0)
    steps = recipe.stages["teacher"].epochs * first.plan(0).iterations * len(first.kinds)
    assert len(first.kinds) == 4
    progress = _progress(coded)
    assert progress["stage"] == 1
    assert progress["step"] == steps


def test_moments_restart_at_a_new_best(store):
    recipe = small("paper_as_coded")
    run = StageRun(work(store, recipe), 0)
    (_, kind, rows), *_ = run.plan(0).updates(run.kinds)
    run.update(0, 0, kind, rows)
    assert run.optimizer.state
    run.new_best()
    assert not run.optimizer.state
    assert run.optimizer.t == 1


def test_updates_come_in_the_papers_order_and_lambda_grows(store):
    run = StageRun(work(store, small("paper_as_published", "teacher.epochs=4")), 0)
    updates = list(run.plan(0).updates(run.kinds))
    assert [kind for _, kind, _ in updates[:5]] == ["MTL", "VA", "EXPR", "AU", "MTL"]
    _, kind, rows = updates[1]
    run.net.eval()
    run.net.train = lambda mode=True: run.net  # no dropout: the same features each time
    run.optimizer.step = lambda: None
    terms = [run.update(epoch, 0, kind, rows)["adversary"] for epoch in (0, 1, 3)]
    assert terms[1] == pytest.approx(2 * terms[0], rel=1e-4)
    assert terms[2] == pytest.approx(4 * terms[0], rel=1e-4)


def test_terms_of_each_batch(store, coded):
    lines = [json.loads(line) for line in coded.journal.read_text().splitlines()]
    teacher = set(next(line for line in lines if line["stage"] == "teacher")["losses"])
    student = set(next(line for line in lines if line["stage"] == "student")["losses"])
    assert {"MTL.label.VA", "VA.label.VA", "VA.adversary"} <= teacher
    assert not {"VA.label.EXPR", "MTL.adversary", "VA.teacher.VA"} & teacher
    assert {"VA.teacher.VA", "VA.teacher.AU", "AU.teacher.AU", "EXPR.adversary"} <= student
    assert not {"MTL.teacher.VA", "MTL.adversary"} & student


def test_training_stops_early(store, tmp_path):
    recipe = small("default", "teacher.epochs=9", "student.epochs=1", "teacher.optimizer.lr=1e-12")
    recipe = recipe.model_copy(
        update={
            "stages": {
                name: stage.model_copy(
                    update={"selection": stage.selection.model_copy(update={"patience": 2})}
                )
                for name, stage in recipe.stages.items()
            }
        }
    )
    folder = train(recipe, store, tmp_path / "run")
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    epochs = [line for line in lines if line["stage"] == "teacher"]
    best = max(line["epoch"] for line in epochs if line["best"])
    assert len(epochs) == min(9, best + 3)
    assert len(epochs) < 9


def test_the_rate_rises_then_falls(store):
    changes = ("optimizer.lr=0.5", "epochs=4", "optimizer.schedule=cosine", "optimizer.warmup=1")
    run = StageRun(work(store, small("supervised", *(f"supervised.{each}" for each in changes))), 0)
    rates = []
    for done in (0, 4, 9, 20, 39):
        run.set_rate(done, 10)
        rates.append(run.optimizer.param_groups[0]["lr"])
    wanted = [0.25 * (1 + math.cos(math.pi * done / 40)) for done in (0, 4, 9, 20, 39)]
    assert rates == pytest.approx([wanted[0] / 10, wanted[1] / 2, *wanted[2:]])


def test_decay_may_spare_all_but_matrices(store):
    changes = ["supervised.optimizer.decay=0.5", "supervised.optimizer.lr=0.1"]
    before, after = [], []
    for spared in ("all", "matrices"):
        recipe = small("supervised", *changes, f"supervised.optimizer.decay_on={spared}")
        run = StageRun(work(store, recipe), 0)
        with torch.no_grad():
            for parameter in run.net.parameters():
                parameter.fill_(1.0)
                parameter.grad = torch.zeros_like(parameter)
        run.optimizer.step()
        ends = {p.ndim > 1: float(p.mean().detach()) for p in run.net.parameters()}
        before.append(ends[True])
        after.append(ends[False])
    assert before == pytest.approx([0.95, 0.95])
    assert after == pytest.approx([0.95, 1.0])


def test_the_average_is_what_is_scored_and_kept(tmp_path):
    store = crops_store(tmp_path / "store", rows=64)
    changes = ["data.held_out=0", "data.batch_size=16", "face.average=0.9", "face.epochs=1"]
    recipe = small("light_face", *changes, "face.precision=float32")
    torch.set_num_threads(1)
    folder = train(recipe, store, tmp_path / "run")
    run = StageRun(work(store, recipe, folder.root), 0)
    run.load(folder.checkpoint)
    kept = load_file(folder.weights("face", "last"))
    assert all(torch.equal(run.ema.net.state_dict()[key], kept[key]) for key in kept)
    assert not all(torch.equal(run.net.state_dict()[key], kept[key]) for key in kept)
    told = json.loads(folder.journal.read_text().splitlines()[0])["validation"]["ALL"]
    assert run.score("validation")["ALL"].official == pytest.approx(told)
    forget(run.net)
    assert run.score("validation")["ALL"].official == pytest.approx(told)
    forget(run.ema.net)
    assert run.score("validation")["ALL"].official != pytest.approx(told)


@torch.no_grad()
def forget(net):
    for parameter in net.parameters():
        parameter.zero_()


def test_a_mixed_batch_is_learnt_from(tmp_path):
    store = crops_store(tmp_path / "store", rows=64)
    recipe = small("light_face", "data.mix=1", "data.augment=false", "data.held_out=0")
    run = StageRun(work(store, recipe), 0)
    assert run.context.samples.inputs(np.arange(2))["crop"].dtype == np.uint8
    (_, kind, rows), *_ = run.plan(0).updates(run.kinds)
    batch = make_batch(run.context.samples, kind, rows)
    mixed, shown = run._augmented(batch, (0, 0, 0))
    assert not np.array_equal(shown["crop"].numpy(), batch.inputs["crop"])
    assert not np.array_equal(mixed.targets["EXPR"].values, batch.targets["EXPR"].values)
    np.testing.assert_array_equal(batch.rows, mixed.rows)


def test_a_store_without_validation_is_refused(tmp_path):
    store = made_store(tmp_path / "store", videos=2, frames=40)
    with pytest.raises(StoreError, match="validation rows in the pool MTL"):
        check_stages(work(store, small("paper_as_published")), None)


@pytest.mark.parametrize("key", ["balance", "humans_first"])
def test_a_task_that_is_none_is_refused_before_there_is_a_run(store, tmp_path, key):
    with pytest.raises(TriaffectError, match="did you mean EXPR"):
        train(small("default", f"data.{key}=['expr']"), store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_learning_beats_chance(store, tmp_path):
    epochs = ("teacher.epochs=8", "student.epochs=8", "data.batch_size=32")
    recipe = small("default", *epochs, "net.dropout=0.0", "data.held_out=0")
    folder = train(recipe, store, tmp_path / "run")
    scores = json.loads(folder.scores.read_text())
    split = rows_of_split(store, build_samples(recipe.data, store, TASKS), "test", TASKS)
    chance = chance_score(truth_of(split.samples, split.rows), TASKS)["P_MTL"]
    for stage in ("teacher", "student"):
        official = scores[stage]["test"]["ALL"]["official"]
        assert official["P_MTL"] > chance + 0.1


def test_an_unfinished_run_cannot_be_opened(store, coded, tmp_path):
    recipe = small("default")
    assert len(open_run(coded.root, store)[1]) == 2
    with pytest.raises(RunError, match=r"run\.json"):
        open_run(tmp_path, store)
    description = json.loads(coded.description.read_text())
    description["recipe"] = recipe.model_dump(mode="json")
    (tmp_path / "run.json").write_text(json.dumps(description))
    with pytest.raises(RunError, match="stage teacher"):
        open_run(tmp_path, store)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"format": 7}, RunError, "run format 1, got 7"),
        ({"seed": "many"}, RunError, "valid seed in run.json, got 'many'"),
        ({"sead": 1}, RunError, "valid sead in run.json"),
        ({"recipe": {}}, RecipeError, r"run\.json: expected the key 'name', got none"),
        ({"recipe.data.batchsize": 8}, RecipeError, "'data.batchsize'; did you mean 'batch_size'"),
        ({"recipe.net.lstn": 8}, RecipeError, "'net.lstn'; did you mean 'lstm'"),
    ],
)
def test_a_run_of_another_version_is_refused_with_what_is_wrong(
    coded, tmp_path, change, error, message
):
    description = json.loads(coded.description.read_text())
    for path, value in change.items():
        *parents, key = path.split(".")
        node = description
        for parent in parents:
            node = node[parent]
        node[key] = value
    (tmp_path / "run.json").write_text(json.dumps(description))
    with pytest.raises(error, match=message):
        read_description(tmp_path)


def test_a_run_that_lacks_later_keys_is_read(coded, tmp_path):
    description = json.loads(coded.description.read_text())
    for key in ("device", "teachers", "teachers_recipes", "plugins", "initial_thresholds"):
        del description[key]
    (tmp_path / "run.json").write_text(json.dumps(description))
    assert read_description(tmp_path) == read_description(coded.root)


def _progress(folder):

    return read_progress(folder.checkpoint)


def test_frozen_parts_keep_their_weights_and_others_learn(tmp_path):
    store = crops_store(tmp_path / "store", rows=64)
    small_net = ("data.augment=false", "data.held_out=0")
    recipe = small("light_face", *small_net, "face.frozen=['stem', 'stages.0']")
    run = StageRun(work(store, recipe), 0)
    before = {name: value.clone() for name, value in run.net.named_parameters()}
    (_, kind, rows), *_ = run.plan(0).updates(run.kinds)
    run.update(0, 0, kind, rows)
    changed = {n for n, value in run.net.named_parameters() if not torch.equal(value, before[n])}
    assert not any(name.startswith(("stem.", "stages.0.")) for name in changed)
    assert any(name.startswith("stages.1.") for name in changed)
    assert any(name.startswith("heads.") for name in changed)
    with pytest.raises(RecipeError, match=r"frozen parts of .*stages.*got stage"):
        StageRun(work(store, small("light_face", *small_net, "face.frozen=['stage']")), 0)

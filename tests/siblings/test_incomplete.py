"""Incomplete labels (Deng and others 2020) and generations of students (2021)."""

import json

import numpy as np
import onnx
import pytest
import torch

from tests.siblings.made import (
    expert_store,
    one_epoch_of_steps,
    predicts_as_trained,
    small,
    stage_run,
    trained,
)
from tests.training.test_resume import KilledError, killing, same_end
from triaffect.errors import RecipeError
from triaffect.losses.distillation import Distillation
from triaffect.losses.objective import StagnationWeights, StepContext
from triaffect.models.base import Ensemble, NetworkShape, Outputs
from triaffect.models.siblings.sequences import TaskBranches, TaskBranchesSpec
from triaffect.recipes.load import load_recipe, recipe_hash
from triaffect.tasks.registry import resolve_tasks, task
from triaffect.training.export import to_onnx

VA20, VA20_CCC = task("VA20"), task("VA20_CCC")
PUBLISHED = ("VA20", "EXPR", "AU")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return expert_store(tmp_path_factory.mktemp("incomplete"))


@pytest.mark.parametrize("both", [False, True])
def test_a_recurrence_is_exported_as_one_operation(both):
    """Step by step it takes the exporter long; `to_onnx` itself compares the answers."""

    class Recurrence(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = torch.nn.GRU(6, 4, batch_first=True, bidirectional=both)

        def forward(self, x):
            return self.gru(x)[0]

    graph = onnx.load_from_string(to_onnx(Recurrence(), {"x": torch.zeros(2, 16, 6)}, ["y"])).graph
    operations = [node.op_type for node in graph.node]
    assert operations.count("GRU") == 1
    assert len(operations) < 10


def every(values):
    return torch.ones_like(values).bool(), torch.ones(len(values))


def test_a_value_in_bins_is_an_expectation_learned_by_its_bin_and_its_concordance():
    raw = torch.zeros(3, 40)
    raw[:, 0], raw[:, 39] = 50, 50
    assert torch.allclose(VA20.activate(raw), torch.tensor([[-1.0, 1.0]]).expand(3, 2))
    target = torch.tensor([[-0.96, 0.5], [0.02, -1.0], [1.0, 0.0]])
    mask, weight = every(target)
    flat = torch.zeros(3, 40)
    concordance = VA20_CCC.loss(flat, target, mask, weight)
    assert concordance == pytest.approx(2.0)  # no spread: 1 - 0 for each
    together = VA20.loss(flat, target, mask, weight)
    assert together == pytest.approx(2 * np.log(20) + 2.0, rel=1e-5)
    right = torch.full((3, 2, 20), -50.0)
    for row, column in np.ndindex(3, 2):  # edges from -1 to 1; the last bin holds 1 too
        number = min(int((target[row, column] + 1) * 10), 19)
        right[row, column, number] = 50
    assert VA20.loss(right.flatten(1), target, mask, weight) < 0.1


def test_a_bin_without_a_label_has_no_gradient():
    raw = torch.randn(6, 40, requires_grad=True)
    target = torch.rand(6, 2) * 2 - 1
    target[0] = float("nan")
    mask = ~target.isnan()
    for each in (VA20, VA20_CCC, task("VA_LINEAR"), task("VA_MSE")):
        own = raw if each.raw_width == 40 else torch.randn(6, 2, requires_grad=True)
        own.grad = None
        each.loss(own, target, mask, torch.ones(6)).backward()
        assert own.grad[0].abs().sum() == 0
        assert own.grad[1:].abs().sum() > 0


def test_networks_vote_for_bins():
    """Two of three say bin 3; the mean of distributions would lean to the third network's."""
    raws = torch.zeros(3, 1, 2, 20)
    raws[:2, :, :, 3], raws[2, :, :, 10] = 2.0, 50.0
    voted = VA20.activate(VA20.average(raws.flatten(2)))
    points = np.linspace(-1, 1, 20)
    assert torch.allclose(voted, torch.full((1, 2), points[3], dtype=torch.float32))
    mean = VA20_CCC.activate(VA20_CCC.average(raws.flatten(2)))
    single = [VA20.activate(each.flatten(1)) for each in raws]
    assert torch.allclose(mean, torch.stack(single).mean(0), atol=1e-5)
    tie = torch.zeros(2, 1, 2, 20)
    tie[0, :, :, 12], tie[1, :, :, 5] = 1.0, 1.0
    assert torch.allclose(
        VA20.activate(VA20.average(tie.flatten(2))), torch.tensor(points[5]).float()
    )


@pytest.mark.parametrize("name", ["EXPR", "AU", "VA"])
def test_an_ensemble_has_the_mean_of_probabilities(name):
    own = task(name)
    raws = torch.randn(4, 6, own.width) * 2
    mean = torch.stack([own.activate(each) for each in raws]).mean(0)
    assert torch.allclose(own.activate(own.average(raws)), mean, atol=1e-5)
    assert not torch.allclose(own.activate(raws.mean(0)), mean, atol=1e-3)


def context(kind, task_weights=None, **labels):
    """An update of random answers and a teacher's, with or without labels."""
    made = torch.Generator().manual_seed(1)
    tasks = resolve_tasks(PUBLISHED)
    raw = {each.key: torch.randn(8, each.raw_width, generator=made) for each in tasks}
    teacher = {each.key: torch.randn(8, each.raw_width, generator=made) for each in tasks}
    return StepContext(
        kind, tasks, Outputs(raw, None, raw["AU"]), teacher, {}, 1.0, {}, task_weights or {}
    )


def test_hard_where_labeled_and_soft_elsewhere(store, tmp_path):
    """Of a batch's own task 0.6 of its labels and 0.4 of the teacher, of others the teacher."""
    recipe = small("deng2020_incomplete", "teacher.epochs=1", "student.members=1")
    trained(recipe, store, tmp_path)
    run, terms = one_epoch_of_steps(recipe, store, tmp_path, stage=1)
    label, teacher = run.objectives
    assert (label.own_weight, teacher.own_weight, teacher.other_weight) == (0.6, 0.4, 1.0)
    for kind in ("VA", "EXPR", "AU"):
        labels = {name for name in terms if name.startswith(f"{kind}.label.")}
        assert labels == {f"{kind}.label.{kind}"}
        assert sum(name.startswith(f"{kind}.teacher.") for name in terms) == 3


def test_the_weight_of_units_is_the_teachers_alone(store, tmp_path):
    """As coded; --set student.task_weights has it in both generations."""
    coded = load_recipe("deng2020_incomplete")
    assert coded.stages["teacher"].task_weights == {"AU": 8.0}
    assert coded.stages["student_1"].task_weights == {}
    both = load_recipe("deng2020_incomplete", ["student.task_weights={AU = 8.0}"])
    weight = [each.stages["student_1"].task_weights for each in (coded, both)]
    terms = Distillation(temperature=1.5)
    plain, heavier = (terms(context("VA", each))["teacher.AU"] for each in weight)
    assert heavier == pytest.approx(8 * float(plain))


def test_the_rate_never_steps_unless_told(store, tmp_path):
    for changes, last in ((), 1.0), (("student.optimizer.schedule=step",), 0.01):
        recipe = small("deng2020_incomplete", *changes, "student.members=1", "teacher.epochs=1")
        run = stage_run(recipe, store, tmp_path, stage=0)
        run.stage = recipe.stages["student"]
        rates = []
        for epoch in range(3):
            run.set_rate(epoch * 7, 7)
            rates.append(run.optimizer.param_groups[0]["lr"])
        assert rates[2] == pytest.approx(last * rates[0])


def test_the_temperature_has_no_square_unless_told():
    plain = Distillation(temperature=1.5)(context("VA"))
    squared = Distillation(temperature=1.5, squared_temperature=True)(context("VA"))
    for key, factor in (("VA", 2.25), ("EXPR", 2.25), ("AU", 1.0)):
        name = f"teacher.{key}"
        assert squared[name] == pytest.approx(factor * float(plain[name]))


def test_an_iteration_moves_the_network_once(store, tmp_path):
    """The gradient is that of the sum, or of the mean; without, each update moves by itself."""
    gradients = {}
    for joint in ("off", "sum", "mean"):
        recipe = small("deng2020_incomplete", f"teacher.joint_step={joint}")
        run, moves = stage_run(recipe, store, tmp_path), []
        run.optimizer.register_step_pre_hook(lambda *_, own=moves: own.append(1))
        for _, kind, rows in list(run.plan(0).updates(run.kinds))[:3]:
            run.update(0, 0, kind, rows)
        assert len(moves) == {"off": 3}.get(joint, 1)
        gradients[joint] = run.net.branches["EXPR"].before[1].weight.grad
    assert gradients["off"] is None  # of the last update, which was another task's
    assert torch.allclose(gradients["sum"], 3 * gradients["mean"], rtol=1e-4)


def test_members_are_written_out_and_averaged():
    recipe = load_recipe("deng2020_incomplete")
    assert list(recipe.stages) == ["teacher", *(f"student_{n}" for n in range(1, 6)), "student"]
    assert recipe.stages["student"].ensemble == tuple(list(recipe.stages)[1:-1])
    again = type(recipe).model_validate(recipe.model_dump(mode="json"))
    assert recipe_hash(again) == recipe_hash(recipe)
    with pytest.raises(RecipeError, match="members is a whole number"):
        load_recipe("deng2020_incomplete", ["student.members=0"])
    with pytest.raises(RecipeError, match="averages nobody, no earlier stage"):
        load_recipe("supervised", ["supervised.ensemble=['nobody']"])


def test_students_differ_and_their_ensemble_is_exported(store, tmp_path):
    changes = ("student.epochs=1", "teacher.epochs=1")
    folder = predicts_as_trained(changes, "deng2020_incomplete", store, tmp_path / "run")
    scores = json.loads(folder.scores.read_text())
    assert list(scores) == ["teacher", "student_1", "student_2", "student"]
    assert scores["student_1"] != scores["student_2"]
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    (own,) = [line for line in lines if line.get("stage") == "student"]
    assert own["best"]


@pytest.mark.parametrize("name", ["deng2020_incomplete", "emenet"])
def test_generations_that_are_killed_end_as_if_they_were_not(store, tmp_path, name):
    few = ("data.batch_size=256",) if name == "deng2020_incomplete" else ()
    recipe = small(name, *few)
    torch.set_num_threads(1)
    whole = trained(recipe, store, tmp_path / "whole")
    for after in (3, 8, 19, 23):
        try:
            trained(
                recipe, store, tmp_path / "killed", resume=True, report=killing(after),
                checkpoint_every_s=0,
            )  # fmt: skip
        except KilledError:
            continue
    same_end(whole, trained(recipe, store, tmp_path / "killed", resume=True))


def test_later_generations_learn_from_the_generation_before_alone(store, tmp_path):
    recipe = small("emenet", "teacher.epochs=1", "round1.epochs=1")
    with pytest.raises(KilledError):
        trained(recipe, store, tmp_path, report=kill_in("round1_2"))
    run, terms = one_epoch_of_steps(recipe, store, tmp_path, stage=3)
    assert isinstance(run.teacher, Ensemble)
    assert {name.split(".")[1] for name in terms} == {"teacher", "loss"}
    assert {name.split(".")[2] for name in terms if "teacher" in name} == {"VA", "EXPR", "AU"}


def kill_in(stage):
    def report(name, *_):
        if name == stage:
            raise KilledError

    return report


def test_weights_of_stagnant_tasks_grow_with_the_logarithm_and_sum_to_one():
    weights = StagnationWeights(("VA", "AU"), 1.0, "log2")
    assert weights.weights() == {"VA": 0.5, "AU": 0.5}
    weights.update({"VA": 1.0, "AU": 1.0})
    for epoch in range(8):
        weights.update({"VA": 0.5, "AU": 2.0 + epoch})
    assert weights.weights() == {"VA": pytest.approx(3 / 4), "AU": pytest.approx(1 / 4)}


def branches(**spec):
    shape = NetworkShape(resolve_tasks(("VA20_CCC", "EXPR", "AU")), face_dim=512)
    sizes = {"dense": 0, "recurrence": "forward", "width": 128} | spec
    torch.manual_seed(0)
    return TaskBranches(TaskBranchesSpec(kind="task_branches", **sizes), shape)


def windows(rows=4, length=6):
    made = torch.Generator().manual_seed(0)
    faces = torch.randn(rows, length, 512, generator=made)
    return {"face": faces, "face_present": torch.ones(rows, length, dtype=torch.bool)}


def test_the_recurrences_have_the_published_size():
    """Three of 512 to 128, with 40, 8 and 12 outputs; 1.68 million with their face network."""
    count = sum(value.numel() for value in branches().parameters())
    assert count == 3 * 3 * 128 * (512 + 128 + 2) + 128 * 60 + 60 == 747_324


@pytest.mark.parametrize("batch_axis", [False, True])
def test_the_recurrence_goes_along_time_or_as_coded_along_the_batch(batch_axis):
    net, batch = branches(batch_axis=batch_axis).train(), windows()
    before = net(batch).sequence["EXPR"]
    changed = {**batch, "face": batch["face"].clone()}
    changed["face"][1, 2] += 1
    moved = (net(changed).sequence["EXPR"] - before).abs().amax(2) > 1e-7
    expected = torch.zeros(4, 6, dtype=torch.bool)
    if batch_axis:
        expected[1:, 2] = True  # the same position of this window and those after it
    else:
        expected[1, 2:] = True  # this window, from there on
    assert torch.equal(moved, expected)


def test_a_window_along_the_batch_is_predicted_by_itself():
    net, batch = branches(batch_axis=True).eval(), windows()
    together = net(batch).raw["AU"]
    alone = net({name: value[2:3] for name, value in batch.items()}).raw["AU"]
    assert torch.allclose(together[2:3], alone, atol=1e-6)


def test_every_labeled_position_of_a_window_is_learned_from(store, tmp_path):
    run = stage_run(small("emenet"), store, tmp_path)
    samples = run.context.samples
    (rows,) = np.nonzero(samples.rows.label_set == "EXPR")
    positions = samples.positions(rows)
    assert (positions[:, -1] == rows).all()
    assert (positions[0, :-1] == -1).all()  # the first frame of a video has none before it
    frame = samples.rows.moments[positions[20]]
    assert (np.diff(run.context.store.moments.column("frame")[frame]) == 1).all()
    plan = run.plan(0)
    iteration, kind, chosen = next(iter(plan.updates(["EXPR"])))
    assert len(plan.rows["EXPR"].reshape(-1)) <= len(run.training["EXPR"]) / 8 + 1
    terms = run.update(0, iteration, kind, chosen)
    assert terms["label.EXPR"] > 0


def test_sequences_need_a_network_that_answers_every_position(store, tmp_path):
    recipe = small("emma", "data.sequences=true")
    with pytest.raises(RecipeError, match=r"data.sequences for a net that answers"):
        one_epoch_of_steps(recipe, store, tmp_path)
    with pytest.raises(RecipeError, match="sequences are for windows that count frames"):
        load_recipe("default", ["data.sequences=true"])


def test_emenet_is_exported(store, tmp_path):
    stages = ("teacher", "round1", "round2", "round3")
    changes = [f"{stage}.epochs=1" for stage in stages]
    changes += [f"{stage}.members=1" for stage in stages]
    predicts_as_trained(changes, "emenet", store, tmp_path / "run")


@pytest.mark.parametrize("name", ["deng2020_incomplete", "emenet"])
def test_one_update_at_the_papers_width(store, tmp_path, name):
    run, terms = one_epoch_of_steps(load_recipe(name), store, tmp_path)
    assert np.isfinite([value for key, value in terms.items() if key.endswith("loss")]).all()
    assert len(run.kinds) == 3

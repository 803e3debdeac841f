"""The challenge baselines, sign and message, and ABAW4's winner."""

import numpy as np
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
from triaffect.errors import RecipeError, StoreError
from triaffect.features.model_folder import load_model_folder
from triaffect.models.attention import EncoderLayer
from triaffect.models.base import NetworkShape
from triaffect.models.siblings.frames import SlotNet, VectorLayers
from triaffect.models.siblings.sequences import ShareBottomNet, ShareBottomSpec
from triaffect.prediction.heads import Fusion
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS, resolve_tasks, task
from triaffect.training.export import export_run
from triaffect.training.scoring import open_run, predict_rows

BASELINES = ("abaw3_va", "abaw3_expr", "abaw3_au", "abaw3_mtl", "abaw4_mtl")
SHAPE = NetworkShape(resolve_tasks(("VA_LINEAR", "EXPR", "AU")), face_dim=512)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return expert_store(tmp_path_factory.mktemp("baselines"))


def faces(rows=4, length=1, width=512):
    made = torch.Generator().manual_seed(0)
    return {
        "face": torch.randn(rows, length, width, generator=made),
        "face_present": torch.ones(rows, length, dtype=torch.bool),
    }


def count(net):
    return sum(value.numel() for value in net.parameters())


@pytest.mark.parametrize("name", [*BASELINES, "smm_emotionnet", "ruc_aim3"])
def test_it_trains_scores_and_predicts_as_it_was_trained(store, tmp_path, name):
    predicts_as_trained((), name, store, tmp_path / "run")


def test_the_baselines_have_22_outputs_from_one_layer():
    net = VectorLayers(SHAPE, (4096, 4096), 0.0)
    assert net.output.out_features == 22
    assert count(net) == (512 * 4096 + 4096) + (4096 * 4096 + 4096) + (4096 * 22 + 22)
    raw = net(faces()).raw
    assert {key: value.shape[1] for key, value in raw.items()} == {"VA": 2, "EXPR": 8, "AU": 12}


def test_mix_augment_learns_from_rows_and_their_blend(store, tmp_path):
    """Twice the loss of the rows, and that of blends, their labels weighing by their shares."""
    off = stage_run(small("abaw4_mtl"), store, tmp_path)
    on = stage_run(small("abaw4_mtl", "data.mix_augment=0.2"), store, tmp_path)
    for net in (off.net, on.net):
        net.load_state_dict(off.net.state_dict())
    _, kind, rows = next(iter(off.plan(0).updates(["ALL"])))
    plain, mixed = (run.update(0, 0, kind, rows) for run in (off, on))
    for key in ("EXPR", "AU", "VA"):
        assert mixed[f"label.{key}"] > 2 * plain[f"label.{key}"]
    with pytest.raises(RecipeError, match="mix_augment is for windows and crops"):
        load_recipe("light_voice", ["data.mix_augment=0.2"])
    with pytest.raises(RecipeError, match="has a teacher"):
        load_recipe("paper_as_published", ["data.mix_augment=0.2"])


def test_a_blend_of_equal_rows_costs_what_a_row_does(store, tmp_path):
    run = stage_run(small("abaw3_expr"), store, tmp_path)
    (row,) = run.training["ALL"][:1]
    rows = np.full(8, row)
    loss = run.update(0, 0, "ALL", rows)["label.EXPR"]
    plain = stage_run(small("abaw3_expr", "data.mix_augment=0.0"), store, tmp_path)
    assert loss == pytest.approx(3 * plain.update(0, 0, "ALL", rows)["label.EXPR"], rel=1e-4)


def test_a_store_without_voices_is_enough_for_what_reads_faces_alone(tmp_path):
    silent = expert_store(tmp_path, frames=20, voice=None)
    folder = trained(small("abaw3_va", "data.face=expert"), silent, tmp_path / "run")
    export_run(folder, silent)
    context, stages = open_run(folder.root, silent)
    rows = np.arange(10)
    fusion = Fusion(load_model_folder(folder.model), TASKS)
    assert fusion.part.voice_dim == 0
    values = fusion.of_inputs(context.samples.inputs(rows))
    for key, expected in predict_rows(stages[-1].net, context.samples, rows, context.tasks).items():
        np.testing.assert_allclose(values[key], expected, atol=2e-3)
    with pytest.raises(StoreError, match=r"a voice extractor for the net default.*--voice"):
        trained(load_recipe("default", ["data.held_out=0"]), silent, tmp_path / "other")


def slots(**sizes):
    torch.manual_seed(0)
    plain = {"slots": 17, "width": 16, "heads": 8, "inner": 1024, "dropout": 0.3}
    return SlotNet(SHAPE, **plain | sizes)


def test_units_see_each_other_and_the_message_does_not():
    net = slots().eval()
    batch = faces()
    message, units = net(batch).raw["EXPR"], net(batch).raw["AU"]
    assert (message.shape, units.shape) == ((4, 8), (4, 12))
    with torch.no_grad():
        net.attend.project_out.weight.mul_(2)
    assert torch.equal(net(batch).raw["EXPR"], message)
    assert not torch.allclose(net(batch).raw["AU"], units)
    with pytest.raises(RecipeError, match="a slot at least for each of 12 units"):
        slots(slots=11)


def test_slots_without_a_label_serve_the_message_alone():
    net = slots().eval()
    raw = net(faces()).raw
    raw["VA"].sum().backward(retain_graph=True)
    unlabeled = net.tokens.weight.grad.unflatten(0, (17, 16))[12:]
    assert unlabeled.abs().sum() > 0
    assert count(net.attend) == count(torch.nn.TransformerEncoderLayer(16, 8, 1024))


def test_an_encoder_layer_computes_what_torchs_does():
    own, other = EncoderLayer(16, 4, 32, 0.0), torch.nn.TransformerEncoderLayer(16, 4, 32, 0.0)
    names = ("project_in", "project_out", "dense.0", "dense.3", "norms.0", "norms.1")
    theirs = ("in_proj_", "out_proj.", "linear1.", "linear2.", "norm1.", "norm2.")
    state = other.state_dict()
    for name, prefix in zip(names, theirs, strict=True):
        part = own.get_submodule(name)
        (key,) = [each for each in state if each.replace("self_attn.", "") == f"{prefix}weight"]
        part.load_state_dict({"weight": state[key], "bias": state[key.replace("weight", "bias")]})
    x = torch.randn(3, 7, 16)
    other.self_attn.batch_first = True
    assert torch.allclose(own(x), other(x), atol=1e-5)


def share_bottom(**sizes):
    torch.manual_seed(0)
    feedback = {"arousal": ("valence", "AU")}
    spec = {"width": 128, "inner": 64, "head": (32, 16), "head_width": 16, "feedback": feedback}
    return ShareBottomNet(ShareBottomSpec(kind="share_bottom", **spec | sizes), SHAPE)


def test_features_are_fed_back_without_a_gradient():
    net = share_bottom(dropout=0.0)
    batch = faces(length=5)
    arousal = net(batch).raw["VA"][:, 1].sum()
    arousal.backward()
    moved = {
        name: sum(p.grad.abs().sum() for p in layers.parameters() if p.grad is not None)
        for name, layers in net.private.items()
    }
    assert {name for name, size in moved.items() if size} == {"arousal"}
    assert all(p.grad is not None for p in net.bottom.parameters())
    with torch.no_grad():
        before = net(batch).raw
        net.private["AU"].hidden[1].weight.mul_(2)
        after = net(batch).raw
    assert not torch.allclose(after["VA"][:, 1], before["VA"][:, 1])
    assert torch.equal(after["VA"][:, 0], before["VA"][:, 0])
    assert torch.equal(after["EXPR"], before["EXPR"])
    with pytest.raises(RecipeError, match=r"from an output that has none itself.*outputs: val"):
        share_bottom(feedback={"arousal": ("nobody",)})


def test_one_layer_of_four_is_shared():
    net = share_bottom()
    assert len(net.bottom) == 1
    assert [len(each.encode) for each in net.private.values()] == [3] * 4
    assert net.private["arousal"].encode[0].project_in.in_features == 128 + 2 * 16
    moved = share_bottom(feedback={})
    assert moved.private["arousal"].encode[0].project_in.in_features == 128


def test_masked_rows_stay_in_the_denominator_as_coded():
    """Half of the rows have no label: as coded the loss is half of the mean over the others."""
    raw, target = torch.randn(8, 2), torch.rand(8, 2)
    valid = torch.arange(8).unsqueeze(1).expand(8, 2) < 4
    coded, mean = (
        task(name).loss(raw, target, valid, torch.ones(8)) for name in ("VA_MSE_ALL", "VA_MSE")
    )
    assert coded == pytest.approx(float(mean) / 2)
    assert mean == pytest.approx(float(((raw - target)[:4] ** 2).mean(0).sum()))


def test_weights_of_the_tasks_and_the_rate(store, tmp_path):
    run = stage_run(small("ruc_aim3", "ruc.epochs=50"), store, tmp_path)
    assert run.stage.task_weights == {"VA": 12.0, "EXPR": 0.35}
    rates = []
    for done in (0, 99, 299, 499):
        run.set_rate(done, 10)
        rates.append(run.optimizer.param_groups[0]["lr"] / 5e-5)
    assert rates == pytest.approx([0.01, 1.0, 201 / 400, 1 / 400], rel=0.02)
    assert run.optimizer.param_groups[0]["betas"][0] == 0.5


def test_gradients_of_each_part_have_a_limit(store, tmp_path):
    recipe = small("ruc_aim3", "ruc.optimizer.clip=0.001")
    run, _ = one_epoch_of_steps(recipe, store, tmp_path)
    parts = [run.net.project, run.net.bottom, *run.net.private.values()]
    norms = [
        torch.cat([p.grad.flatten() for p in part.parameters()]).norm().item() for part in parts
    ]
    assert max(norms) <= 0.001 * (1 + 1e-3)
    assert np.linalg.norm(norms) > 0.0015


@pytest.mark.parametrize("name", [*BASELINES, "smm_emotionnet"])
def test_one_update_at_the_papers_width(store, tmp_path, name):
    _, terms = one_epoch_of_steps(load_recipe(name), store, tmp_path)
    assert np.isfinite([value for key, value in terms.items() if key.endswith("loss")]).all()


@pytest.mark.slow
def test_one_update_of_the_winner_at_its_width(store, tmp_path):
    run, terms = one_epoch_of_steps(load_recipe("ruc_aim3"), store, tmp_path)
    assert np.isfinite(terms["ALL.loss"])
    assert count(run.net) > 100_000_000

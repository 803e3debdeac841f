"""CoTEX, on crops: two masked views of a face that learn together."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.prediction.tiny_model import portrait, tone, write_sound
from tests.siblings.made import one_epoch_of_steps, stage_run, trained
from tests.training.stores import crops_store, made_store
from tests.training.test_resume import ends_the_same
from triaffect.datasets.augmentation.augment import shift_crops
from triaffect.errors import MediaError, RecipeError, StoreError
from triaffect.evaluation.evaluate import evaluate_folder
from triaffect.faces.alignment import align
from triaffect.faces.detection import CenterFace
from triaffect.features.extractors.onnx import gray64
from triaffect.losses.agreement import jensen_shannon
from triaffect.models.attention import EncoderLayer
from triaffect.models.base import NetworkShape
from triaffect.models.siblings.crops import MaskedViews, MaskedViewsSpec
from triaffect.prediction.predictor import Predictor
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS, resolve_tasks
from triaffect.training.export import export_run
from triaffect.training.scoring import open_run

POOLS = "data.pools={ALL = ['AU']}"
"""The rows of `crops_store`, which have labels of expression too."""
SMALL = ("net.patch=16", "net.width=8", "net.depth=2", "net.heads=2", "cotex.epochs=2", POOLS)


def small(*changes):
    return load_recipe("cotex", [*SMALL, "data.batch_size=32", *changes])


def network(tasks=("EXPR",), **sizes):
    spec = MaskedViewsSpec(kind="masked_views", **sizes)
    return MaskedViews(spec, NetworkShape(resolve_tasks(tasks)))


def tiny(**sizes):
    return network(patch=16, width=8, depth=2, heads=2, **sizes)


def crops(rows=6):
    made = torch.Generator().manual_seed(0)
    return {"crop": torch.randint(0, 256, (rows, 64, 64), generator=made, dtype=torch.uint8)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    torch.set_num_threads(1)
    return crops_store(tmp_path_factory.mktemp("crops") / "store")


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return trained(
        small("net.mask=0.5", "net.depth=1"), store, tmp_path_factory.mktemp("cotex") / "run"
    )


def test_at_full_size_it_is_two_vision_transformers_of_the_published_size():
    """A ViT-B/16 without its head has 85,798,656, of which two of three colors have 393,216."""
    with torch.device("meta"):
        net = network(side=224, patch=16, width=768, depth=12, heads=12)
    count = sum(value.numel() for value in net.views[0].parameters())
    assert count == 85_798_656 - 2 * 16 * 16 * 768
    assert sum(value.numel() for value in net.parameters()) == 2 * (count + 768 * 8 + 8)


def test_a_layer_is_torchs_layer_that_normalizes_first():
    own = EncoderLayer(16, 4, 32, 0.0, "gelu", norm_first=True)
    other = torch.nn.TransformerEncoderLayer(
        16, 4, 32, 0.0, F.gelu, batch_first=True, norm_first=True
    )
    names = ["self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj.weight"]
    names += ["self_attn.out_proj.bias", "linear1.weight", "linear1.bias", "linear2.weight"]
    names += ["linear2.bias", "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"]
    ours = [own.project_in.weight, own.project_in.bias, own.project_out.weight]
    ours += [own.project_out.bias, own.dense[0].weight, own.dense[0].bias, own.dense[3].weight]
    ours += [own.dense[3].bias, *own.norms.parameters()]
    with torch.no_grad():
        for value in ours:
            value.uniform_(-0.5, 0.5)
    other.load_state_dict(dict(zip(names, [value.detach() for value in ours], strict=True)))
    x = torch.randn(3, 5, 16)
    torch.testing.assert_close(own.train()(x), other.train()(x))


def test_dropped_paths_leave_rows_as_they_are_and_scale_the_others():
    torch.manual_seed(0)
    layer = EncoderLayer(8, 2, 16, 0.0, norm_first=True, drop_path=0.5).train()
    torch.nn.init.zeros_(layer.dense[3].weight)
    torch.nn.init.zeros_(layer.dense[3].bias)
    x = torch.randn(1, 3, 8).expand(40, -1, -1)
    moved = (layer(x) - x).abs().sum((1, 2))
    assert 5 < (moved == 0).sum() < 35
    full = layer.eval()(x) - x
    torch.testing.assert_close(moved.max(), 2 * full.abs().sum((1, 2))[0])


def test_each_view_sees_patches_of_its_own_while_training_and_all_of_them_afterwards():
    net, lengths = tiny(mask=0.75, drop_path=0.0), []
    for view in net.views:
        view.blocks[0].register_forward_hook(lambda _, x, y: lengths.append(x[0].shape[1]))
    net.views[1].load_state_dict(net.views[0].state_dict())
    first, second = net.train()(crops()).features.chunk(2, 1)
    assert lengths == [1 + 4, 1 + 4]
    assert not torch.isclose(first, second).all(1).any()
    first, second = net.eval()(crops()).features.chunk(2, 1)
    assert lengths[2:] == [1 + 16, 1 + 16]
    assert torch.equal(first, second)


def test_afterwards_the_logits_are_added():
    net = tiny().eval()
    outputs = net(crops())
    parts = outputs.features.chunk(2, 1)
    logits = [heads["EXPR"](part) for heads, part in zip(net.heads, parts, strict=True)]
    torch.testing.assert_close(outputs.raw["EXPR"], logits[0] + logits[1])
    assert outputs.views == ()


def test_the_divergence_is_that_of_jensen_and_shannon():
    one, other = torch.randn(2, 5, 4).softmax(2)
    middle = (one + other) / 2
    expected = F.kl_div(middle.log(), one, reduction="none")
    expected = (expected + F.kl_div(middle.log(), other, reduction="none")) / 2
    torch.testing.assert_close(jensen_shannon(torch.stack([one, other])), expected)
    assert torch.isfinite(jensen_shannon(torch.eye(3)[:, None], 1e-4)).all()


def test_as_coded_classes_share_the_divergence(store, tmp_path):
    """Averaged over all elements it is an eighth, with eight classes, of what a row's is."""
    values = {}
    for average in ("elements", "rows"):
        recipe = small(f"cotex.agreement.average={average}")
        _, terms = one_epoch_of_steps(recipe, store, tmp_path / average)
        values[average] = terms["ALL.agreement.EXPR"]
    assert values["rows"] == pytest.approx(8 * values["elements"], rel=1e-5)
    assert values["elements"] > 0


def test_the_label_loss_is_the_mean_of_both_views(store, tmp_path):
    run = stage_run(small("data.augment=false", "data.variation=faces"), store, tmp_path)
    (_, kind, rows), *_ = run.plan(0).updates(run.kinds)
    seen, forward = [], run.net.forward
    run.net.forward = lambda inputs: seen.append(forward(inputs)) or seen[-1]
    terms = run.update(0, 0, kind, rows)
    labels = torch.from_numpy(run.context.samples.rows.targets["EXPR"].values[rows]).argmax(1)
    each = [F.cross_entropy(view["EXPR"], labels) for view in seen[0].views]
    assert terms["label.EXPR"] == pytest.approx((each[0] + each[1]).item() / 2, rel=1e-5)
    assert each[0] != each[1]


def test_layers_learn_the_slower_the_nearer_they_are_to_the_crop(store, tmp_path):
    recipe = small("cotex.optimizer.layer_decay=0.5", "cotex.optimizer.lr=0.8")
    run = stage_run(recipe, store, tmp_path)
    rates = {}
    for group in run.optimizer.param_groups:
        for name, value in run.net.named_parameters():
            if any(value is each for each in group["params"]):
                rates[name] = group.get("factor", 1.0)
    assert len(rates) == len(list(run.net.parameters()))
    for view in ("views.0", "views.1"):
        assert rates[f"{view}.patches.weight"] == rates[f"{view}.token"] == 0.125
        assert rates[f"{view}.blocks.0.project_in.weight"] == 0.25
        assert rates[f"{view}.blocks.1.dense.0.bias"] == 0.5
        assert rates[f"{view}.norm.weight"] == 1.0
    assert rates["heads.1.EXPR.weight"] == 1.0


def test_shifted_crops_are_the_crops_some_mirrored_and_a_little_aside():
    rng = np.random.default_rng(0)
    ramp = torch.arange(64.0).expand(200, 64, 64) * 4
    shifted = shift_crops(ramp, rng)
    mirrored = shifted[:, 0, 0] > shifted[:, 0, -1]
    assert 70 < mirrored.sum() < 130
    straight = torch.where(mirrored[:, None, None], shifted.flip(2), shifted)
    assert (straight - ramp).abs().max() < 6  # at most 1.3 of 64 pixels
    assert (straight - ramp).abs().amax((1, 2)).min() > 0.5


def test_a_killed_run_ends_as_one_that_was_not(store, tmp_path):
    ends_the_same(small(), store, tmp_path, (2, 4))


@pytest.mark.slow
def test_it_trains_scores_and_predicts_pictures_and_films(run, store, clip, tmp_path):
    export_run(run, store)
    scores = json.loads(run.scores.read_text())
    assert 0 <= scores["cotex"]["test"]["ALL"]["official"]["P_EXPR"] <= 1
    assert evaluate_folder(run.root, store).stages.keys() == {"cotex"}
    predictor = Predictor(run.model)
    assert [task.key for task in predictor.tasks] == ["EXPR"]
    rgb = portrait()
    crop = gray64(align(rgb, CenterFace()(rgb).landmarks[0])[None])
    _, (stage,) = open_run(run.root, store)
    with torch.no_grad():
        expected = stage.net({"crop": torch.from_numpy(crop)}).raw["EXPR"].softmax(1)[0]
    columns = list(TASKS[1].columns)
    table = predictor.predict(rgb)
    np.testing.assert_allclose(table[columns].to_numpy()[0], expected, atol=2e-3)
    film = predictor.predict(clip)
    assert film["frame"].tolist() == list(range(40))
    assert film.loc[film["face_seen"], columns].notna().all(axis=None)
    assert film.loc[~film["face_seen"], columns].isna().all(axis=None)
    assert not film["voice_heard"].any()
    with pytest.raises(MediaError, match="reads faces alone"):
        predictor.predict(write_sound(tmp_path / "a.wav", tone(1.0)))


def test_a_store_of_vectors_is_refused_before_training(tmp_path):
    vectors = made_store(tmp_path / "store", videos=4, frames=10)

    with pytest.raises(StoreError, match=r"gray64, got made_face.*--face gray64"):
        trained(small(), vectors, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_does_not_fit_is_refused(store, tmp_path):
    with pytest.raises(RecipeError, match="whole patches"):
        trained(small("net.patch=10"), store, tmp_path)
    with pytest.raises(RecipeError, match="agreement on a task of classes"):
        trained(small("tasks=['AU']"), store, tmp_path)
    agreement = "stages.face.agreement={weight = 1.0}"
    single = load_recipe("light_face", [agreement, "data.held_out=0", POOLS])
    with pytest.raises(RecipeError, match="single view"):
        trained(single, store, tmp_path)
    decay = load_recipe("light_face", ["face.optimizer.layer_decay=0.5", "data.held_out=0", POOLS])
    with pytest.raises(RecipeError, match="names its layers"):
        trained(decay, store, tmp_path)
    with pytest.raises(RecipeError, match="variation is for crops that augment varies"):
        small("data.augment=false")

"""DKDFMH: fused heads on log-mel, and distillation with the labeled class set apart."""

import json
from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
import torch

from tests.prediction.tiny_model import tone
from tests.siblings.made import one_epoch_of_steps, stage_run, trained
from tests.training.stores import RATE, made_store
from triaffect.corpora.rows import TaskLabels, build_moments
from triaffect.errors import RecipeError, StoreError
from triaffect.features.extractors.onnx import SPECTRUM, LogMelRows, OnnxVoice
from triaffect.features.model_folder import load_model_folder
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import SourceInfo, StoreWriter
from triaffect.losses.distillation import Distillation
from triaffect.losses.objective import StepContext, TorchTargets
from triaffect.models.base import Branch, NetworkShape, Outputs
from triaffect.models.siblings.voices import FusedHeads, HeadFusion, HeadFusionSpec
from triaffect.recipes.load import load_recipe
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.losses import decoupled_divergence
from triaffect.tasks.registry import resolve_tasks, task
from triaffect.tasks.task import LossOptions
from triaffect.training.export import export_run
from triaffect.training.scoring import open_run
from triaffect.types import FeatureSeries, LabelOrigin

TINY = (
    "net.first=2",
    "net.widths=[4, 4, 4]",
    "net.features=6",
    "data.stretch_s=0.8",
    "data.batch_size=8",
    "data.min_batch=8",
    "teacher.epochs=2",
    "student.epochs=2",
)


def small(*changes):
    return load_recipe("dkdfmh", [*TINY, *changes])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Sounds of two seconds, whose bands say which expression they have."""
    torch.set_num_threads(1)
    path, rng = tmp_path_factory.mktemp("spectra") / "store", np.random.default_rng(0)
    with StoreWriter.create_or_resume(path, None, LogMelRows(SPECTRUM).spec) as writer:
        for number in range(24):
            split = {2: "validation", 3: "test"}.get(number % 4, "train")
            spectrum = rng.normal(-10, 1, (200, 64))
            spectrum[:, 8 * (number % 8) : 8 * (number % 8) + 8] += 4
            labels = np.eye(8)[np.full(4, number % 8)]
            known = {"source": f"made/{number}", "person": str(number), "track": -1, "split": split}
            known |= {"frame": np.arange(4), "time_s": np.arange(4) / 2, "label_set": "EXPR"}
            values = {"EXPR": TaskLabels.from_nan(labels)}
            writer.add(
                SourceInfo(f"made/{number}", "made", "sound", stills=False, frame_rate=RATE),
                build_moments(4, known, values, LabelOrigin.HUMAN),
                None,
                FeatureSeries(spectrum.astype(np.float16), (np.arange(200) + 0.5) / 100),
            )
    return FeatureStore.open(path)


def divergence(p, q):
    return (p * (p / q).log()).sum(-1)


def random_logits(rows=6, width=8):
    made = torch.Generator().manual_seed(0)
    return [2 * torch.randn(rows, width, generator=made, dtype=torch.float64) for _ in range(2)]


def test_the_parts_are_those_of_the_authors_and_together_the_divergence():
    student, teacher = random_logits()
    labeled = torch.eye(8)[:6].bool()
    p, q = teacher.softmax(1), student.softmax(1)
    own, other = p[labeled], q[labeled]
    target = divergence(torch.stack([own, 1 - own], 1), torch.stack([other, 1 - other], 1))
    others = divergence(
        teacher[~labeled].reshape(6, 7).softmax(1), student[~labeled].reshape(6, 7).softmax(1)
    )
    assert torch.allclose(decoupled_divergence(student, teacher, labeled, (1.0, 0.0)), target)
    assert torch.allclose(decoupled_divergence(student, teacher, labeled, (0.0, 1.0)), others)
    both = decoupled_divergence(student, teacher, labeled, (1.0, 8.0))
    assert torch.allclose(both, target + 8 * others)
    assert torch.allclose(target + (1 - own) * others, divergence(p, q))
    assert not torch.allclose(both, divergence(p, q))
    labeled[2] = False
    mixed = decoupled_divergence(student, teacher, labeled, (1.0, 8.0))
    assert mixed[2].item() == pytest.approx(divergence(p, q)[2].item())


def test_gradients_are_finite_where_the_teacher_is_certain():
    student = torch.zeros(2, 8, requires_grad=True)
    teacher = torch.full((2, 8), -60.0)
    teacher[:, 0] = 60
    decoupled_divergence(student, teacher, torch.eye(8)[:2].bool(), (1.0, 8.0)).sum().backward()
    assert student.grad.isfinite().all()


def test_units_have_the_first_part_alone_and_bins_have_both():
    made = torch.Generator().manual_seed(0)
    units, bins = task("AU"), task("VA20")
    raw, teacher = (torch.randn(5, 12, generator=made) for _ in range(2))
    present, every = (teacher > 0).float(), torch.ones(5, 12).bool()
    plain = units.divergence(raw, teacher)
    for weights in ((3.0, 8.0), (3.0, 0.0)):
        own = units.decoupled_divergence(
            raw, teacher, present, every, LossOptions(decoupled=weights)
        )
        assert own.item() == pytest.approx(3 * plain.item())
    raw, teacher = (torch.randn(5, 40, generator=made) for _ in range(2))
    values, valid = torch.linspace(-1, 1, 10).reshape(5, 2), torch.ones(5, 2).bool()
    numbers = ((values + 1) / 2 * 20).long().clamp(0, 19)
    labeled = torch.nn.functional.one_hot(numbers, 20).bool().reshape(10, 20)
    expected = decoupled_divergence(
        raw.reshape(10, 20) / 2, teacher.reshape(10, 20) / 2, labeled, (1.0, 8.0)
    )
    options = LossOptions(temperature=2.0, decoupled=(1.0, 8.0))
    own = bins.decoupled_divergence(raw, teacher, values, valid, options)
    assert own.item() == pytest.approx(2 * expected.mean().item(), rel=1e-5)
    nobody = bins.decoupled_divergence(raw, teacher, values, ~valid, options)
    assert nobody.item() == pytest.approx(bins.divergence(raw, teacher, options).item(), rel=1e-4)


def context(epoch=0, present=(True,) * 6):
    student, teacher = (each.float() for each in random_logits())
    labels = TorchTargets(torch.eye(8)[:6], torch.ones(6, 8).bool(), torch.ones(6))
    branch = Branch({"EXPR": student / 2}, torch.tensor(present))
    outputs = Outputs({"EXPR": student}, None, student, branches={"depth1": branch})
    return StepContext(
        "ALL", [EXPRESSION], outputs, {"EXPR": teacher}, {"EXPR": labels}, 1.0, {}, epoch=epoch
    )


def terms_of(epoch=0, present=(True,) * 6, **options):
    published = {"on": ("ALL",), "other_weight": 1.0, "temperature": 4.0, "decoupled": True}
    terms = Distillation(**published | options)(context(epoch, present))
    return {name: value.item() for name, value in terms.items()}


def test_the_temperature_has_a_square_here_and_the_terms_grow():
    plain = terms_of()["teacher.EXPR"]
    assert terms_of(squared_temperature=True)["teacher.EXPR"] == pytest.approx(16 * plain)
    for epoch, share in ((0, 0.05), (9, 0.5), (19, 1.0), (40, 1.0)):
        assert terms_of(epoch, warmup=20.0)["teacher.EXPR"] == pytest.approx(share * plain)
    assert terms_of(others_weight=0.0)["teacher.EXPR"] < plain
    assert terms_of(decoupled=False)["teacher.EXPR"] != pytest.approx(plain, rel=0.05)


def test_every_depth_is_taught_on_the_rows_that_it_has():
    assert set(terms_of()) == {"teacher.EXPR"}
    both = terms_of(branches=True)
    assert set(both) == {"teacher.EXPR", "teacher_depth1.EXPR"}
    some = terms_of(present=(True, True, False, True, False, False), branches=True)
    assert some["teacher_depth1.EXPR"] != pytest.approx(both["teacher_depth1.EXPR"])
    assert some["teacher.EXPR"] == both["teacher.EXPR"]
    few = terms_of(present=(True,) + (False,) * 5, branches=True)
    assert set(few) == {"teacher.EXPR"}


def network(**sizes):
    torch.manual_seed(0)
    shape = NetworkShape(resolve_tasks(("EXPR",)))
    return HeadFusion(HeadFusionSpec(kind="head_fusion", **sizes), shape).eval()


def test_it_has_the_layers_of_the_program_that_it_builds_on():
    count = sum(value.numel() for value in network().parameters())
    first = 8 * (2 * 10 + 8 * 2) + 2 * 16
    widths = (16, 32, 48, 64, 80)
    layers = sum(9 * a * b + 2 * b for a, b in pairwise(widths))
    heads = sum((c + 1) * 3 * 4 * 64 for c in (48, 64, 80)) + 3 * (64 + 1) * 8
    assert count == first + layers + heads == 244_248


def test_heads_are_fused_over_channels_and_places():
    fused, x = FusedHeads(3, 2, 5).eval(), torch.randn(2, 3, 4, 6)
    kinds = fused.project(x).reshape(2, 3, 2, 5, 4, 6)
    expected = torch.zeros(2, 5)
    for head in range(2):
        query, key, value = kinds[:, 0, head], kinds[:, 1, head], kinds[:, 2, head]
        expected += torch.relu((query * key).softmax(1) * value).mean((2, 3)) / 2
    assert torch.allclose(fused(x), expected, atol=1e-6)


def test_each_depth_answers_and_the_last_one_is_the_networks():
    net, spectra = network(), -10 + torch.randn(2, 200, 64)
    outputs = net({"logmel": spectra})
    assert set(outputs.branches) == {"depth1", "depth2"}
    assert torch.equal(outputs.features, net.encode(spectra))
    assert torch.equal(outputs.raw["EXPR"], net.heads["EXPR"](outputs.features))
    assert outputs.branches["depth1"].raw["EXPR"].shape == (2, 8)
    assert network(depths=1)({"logmel": spectra}).branches == {}


def test_a_student_learns_from_labels_and_from_the_teachers_answer_at_every_depth(store, tmp_path):
    trained(small("student.epochs=1"), store, tmp_path)
    run, terms = one_epoch_of_steps(small(), store, tmp_path, stage=1)
    heads = ("", "_depth1", "_depth2")
    expected = {f"ALL.{kind}{head}.EXPR" for kind in ("label", "teacher") for head in heads}
    assert set(terms) == expected | {"ALL.loss"}
    assert all(value.grad is not None for value in run.net.parameters())


def test_the_rate_falls_every_ten_epochs(store, tmp_path):
    run = stage_run(small("teacher.epochs=50"), store, tmp_path)
    rates = []
    for epoch in (0, 9, 10, 25):
        run.set_rate(epoch * 7, 7)
        rates.append(run.optimizer.param_groups[0]["lr"] / 1e-3)
    assert rates == pytest.approx([1.0, 1.0, 0.1, 0.01])


def test_one_update_at_its_own_size(store, tmp_path):
    recipe = load_recipe("dkdfmh", ["data.batch_size=4", "data.min_batch=4"])
    _, terms = one_epoch_of_steps(recipe, store, tmp_path)
    assert np.isfinite(terms["ALL.loss"])


def test_what_it_needs_is_named_before_training(store, tmp_path):
    vectors = made_store(tmp_path / "vectors", videos=4, frames=20)
    with pytest.raises(StoreError, match=r"logmel64, got made_voice.*extract it with --voice"):
        trained(small(), vectors, tmp_path / "run")
    with pytest.raises(StoreError, match="training rows for the updates ALL, got none"):
        trained(small('data.pools={ALL = ["AU"]}'), store, tmp_path / "run")
    with pytest.raises(RecipeError, match="for a net without branches"):
        one_epoch_of_steps(
            load_recipe("light_voice", ["voice.supervised.branch_weight=1.0", "data.refit=false"]),
            store,
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_it_makes_a_voice_network_that_extracts(store, tmp_path):
    folder = trained(small("teacher.epochs=1", "student.epochs=1"), store, tmp_path / "run")
    export_run(folder, store)
    opened, stages = open_run(folder.root, store)
    spectra = opened.samples.inputs(np.arange(8))["logmel"]
    with torch.no_grad():
        expected = stages[-1].net.encode(torch.from_numpy(spectra)).numpy()
    model = load_model_folder(folder.model)
    session = onnxruntime.InferenceSession(model.network("voice"))
    (features,) = session.run(["features"], {"logmel": spectra})
    np.testing.assert_allclose(features, expected, atol=1e-2 * np.abs(expected).max())
    voice = OnnxVoice(model)
    assert (voice.spec.name, voice.spec.dim) == ("head_fusion", 6)
    rows = list(voice.stream(iter([tone(2.0)])))
    assert np.concatenate([each.values for each in rows]).shape == (9, 6)  # every 0.25 s
    assert json.loads(folder.scores.read_text())["student"]["test"]["ALL"]

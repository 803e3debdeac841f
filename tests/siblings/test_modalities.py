"""SDT: faces and voices, each by itself and by the other, and heads that follow the fused one."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.prediction.tiny_model import portrait, tone, write_sound, write_tiny_model
from tests.siblings.made import (
    expert_store,
    one_epoch_of_steps,
    predicts_as_trained,
    small,
    stage_run,
    trained,
)
from tests.training.stores import FACE, VOICE, made_store, stills_store
from triaffect.corpora.label_table import LabelTable
from triaffect.errors import RecipeError, StoreError
from triaffect.features.extraction import extract
from triaffect.features.store import FeatureStore
from triaffect.losses.objective import StepContext, TorchTargets
from triaffect.losses.self_distillation import SelfDistillation
from triaffect.media.writer import write_video
from triaffect.models.base import Branch, NetworkShape, Outputs
from triaffect.models.siblings.modalities import (
    CrossEncoder,
    FusedModalities,
    ModalityTransformer,
    ModalityTransformerSpec,
)
from triaffect.prediction.predictor import Predictor
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS, resolve_tasks, task
from triaffect.training.export import export_run
from triaffect.training.scoring import open_run, predict_rows
from triaffect.training.stage import StageRun

IEMOCAP = {"text": 1024, "voice": 1582, "face": 342}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return expert_store(tmp_path_factory.mktemp("sdt"))


def count(net):
    return sum(value.numel() for value in net.parameters())


def network(**sizes):
    torch.manual_seed(0)
    shape = NetworkShape(resolve_tasks(("VA", "EXPR", "AU")), face_dim=12, voice_dim=10, position=2)
    small_sizes = {"width": 16, "inner": 16, "heads": 2, "dropout": 0.0}
    spec = ModalityTransformerSpec(kind="sdt", **small_sizes | sizes)
    return ModalityTransformer(spec, shape)


def inputs(rows=3, length=5):
    made = torch.Generator().manual_seed(0)
    return {
        "face": torch.randn(rows, length, 12, generator=made),
        "face_present": torch.ones(rows, length, dtype=torch.bool),
        "voice": torch.randn(rows, length, 10, generator=made),
        "voice_present": torch.ones(rows, length, dtype=torch.bool),
    }


def test_it_has_the_published_size():
    """Of three modalities and six classes 79.7 million, with 3,072 of speakers, left out here."""
    spec = ModalityTransformerSpec(kind="sdt")
    with torch.device("meta"):
        net = FusedModalities(IEMOCAP, {"EXPR": 6}, spec)
    assert count(net) + 3 * 1024 == 79_669_272
    assert count(net.encoders["text_voice"]) == 6 * 1024**2 + 8 * 1024
    with torch.device("meta"):
        here = FusedModalities({"face": 128, "voice": 128}, {"VA": 2, "EXPR": 8, "AU": 12}, spec)
    assert count(here) == 34_967_618
    with torch.device("meta"):
        plain = FusedModalities(IEMOCAP, {"EXPR": 7}, spec.model_copy(update={"gate": "identity"}))
    assert count(net) - count(plain) == 9 * 1024**2 - 4 * 1025


def test_an_identity_gate_is_silu():
    own, trained_gate = network(gate="identity").eval(), network().eval()
    x = torch.randn(2, 5, 16)
    gate = own.fusion.gates["face_voice"]
    assert torch.allclose(torch.sigmoid(gate(x)) * x, torch.nn.functional.silu(x))
    assert count(trained_gate) - count(own) == 4 * 16**2


def test_attention_is_torchs_and_nobody_looks_at_what_is_not_there():
    torch.manual_seed(0)
    own, other = CrossEncoder(16, 2, 16, 0.0), torch.nn.MultiheadAttention(16, 2, batch_first=True)
    other.in_proj_weight.data = torch.cat([own.query.weight, own.key.weight, own.value.weight])
    other.in_proj_bias.data = torch.cat([own.query.bias, own.key.bias, own.value.bias])
    other.out_proj.load_state_dict(own.out.state_dict())
    target, source = torch.randn(3, 5, 16), torch.randn(3, 5, 16)
    present = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()
    expected = other(target, source, source, key_padding_mask=~present)[0]
    expected[2] = 0
    x = target + expected
    x = x + own.dense(own.norm(x))
    assert torch.allclose(own(target, source, present), x, atol=1e-5)


def test_a_window_without_a_voice_is_answered_by_its_faces():
    net, batch = network().eval(), inputs()
    batch["voice_present"][1] = False
    outputs = net(batch)
    assert outputs.branches["voice"].present.tolist() == [True, False, True]
    changed = {**batch, "voice": batch["voice"].clone()}
    changed["voice"][1] += 5
    for key, raw in net(changed).raw.items():
        assert torch.equal(raw, outputs.raw[key])
    changed["voice"][0, 4] += 5
    assert not torch.allclose(net(changed).raw["VA"][0], outputs.raw["VA"][0])
    batch["face_present"][1] = False
    assert all(raw.isfinite().all() for raw in net(batch).raw.values())


def test_places_look_at_each_other_and_every_one_is_answered():
    net, batch = network().eval(), inputs()
    outputs = net(batch)
    assert outputs.sequence["AU"].shape == (3, 5, 12)
    assert torch.equal(outputs.sequence["AU"][:, 2], outputs.raw["AU"])
    batch["voice"][:, 0] += 3
    moved = (net(batch).sequence["AU"] - outputs.sequence["AU"]).abs().amax(2)
    assert (moved > 1e-7).all()


def context(present=(True,) * 6):
    """An update with one branch, whose answers and the network's own can have gradients."""
    made = torch.Generator().manual_seed(1)
    tasks = resolve_tasks(("VA", "EXPR", "AU"))
    own, branch = (
        {each.key: torch.randn(6, each.width, generator=made) for each in tasks} for _ in range(2)
    )
    for raw in (*own.values(), *branch.values()):
        raw.requires_grad_()
    outputs = Outputs(own, None, own["AU"], None, {"voice": Branch(branch, torch.tensor(present))})
    return StepContext("MTL", tasks, outputs, None, {}, 1.0, {}, {"AU": 3.0})


def test_the_fused_answer_moves_toward_its_students_unless_it_is_detached():
    """As coded it is not detached; the losses are the same, the gradients are not."""
    values = {}
    for detached in (False, True):
        step = context()
        terms = SelfDistillation(detached=detached)(step)
        assert set(terms) == {"self_voice.VA", "self_voice.EXPR", "self_voice.AU"}
        sum(terms.values()).backward()
        for key, raw in step.outputs.raw.items():
            assert (raw.grad is None) is detached, key
            assert step.outputs.branches["voice"].raw[key].grad.abs().sum() > 0
        values[detached] = {name: value.item() for name, value in terms.items()}
    assert values[True] == pytest.approx(values[False])


def test_the_loss_is_the_divergence_of_what_the_branch_says_from_the_fused_answer():
    step = context()
    terms = SelfDistillation(temperature=2.0)(step)
    own, branch = step.outputs.raw, step.outputs.branches["voice"].raw
    p, q = (own["EXPR"] / 2).softmax(1), (branch["EXPR"] / 2).softmax(1)
    assert terms["self_voice.EXPR"].item() == pytest.approx(
        (p * (p / q).log()).sum(1).mean().item()
    )
    p, q = own["AU"].sigmoid(), branch["AU"].sigmoid()
    bernoulli = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    assert terms["self_voice.AU"].item() == pytest.approx(3 * bernoulli.mean().item(), rel=1e-4)
    still = torch.zeros(6, 2)
    assert task("VA_MSE").divergence(still, still + 0.5).item() == pytest.approx(0.5)
    squared = SelfDistillation(temperature=2.0, squared_temperature=True)(step)
    for key, factor in (("EXPR", 4), ("AU", 1), ("VA", 1)):
        name = f"self_voice.{key}"
        assert squared[name].item() == pytest.approx(factor * terms[name].item())


def test_a_branch_learns_on_rows_that_it_has_something_to_go_by(store, tmp_path):
    step = context(present=(True, True, False, False, True, False))
    sum(SelfDistillation()(step).values()).backward()
    moved = step.outputs.branches["voice"].raw["EXPR"].grad.abs().sum(1) > 0
    assert moved.tolist() == [True, True, False, False, True, False]
    assert SelfDistillation()(context(present=(True,) + (False,) * 5)) == {}
    run = stage_run(small("sdt"), store, tmp_path)
    label, _ = run.objectives
    one_hot = torch.eye(8)[:6]
    labels = TorchTargets(one_hot, torch.ones(6, 8).bool(), torch.ones(6))
    step = replace(context((True,) * 3 + (False,) * 3), targets={"EXPR": labels})
    terms = label(step)
    assert set(terms) == {"label.EXPR", "label_voice.EXPR"}
    terms["label_voice.EXPR"].backward()
    moved = step.outputs.branches["voice"].raw["EXPR"].grad.abs().sum(1) > 0
    assert moved.tolist() == [True] * 3 + [False] * 3


def test_every_head_learns_from_labels_and_two_from_the_third(store, tmp_path):
    run, terms = one_epoch_of_steps(small("sdt"), store, tmp_path)
    parts = {name.split(".")[1] for name in terms} - {"loss"}
    assert parts == {"label", "label_face", "label_voice", "self_face", "self_voice"}
    assert all(value.grad is not None for value in run.net.parameters())
    batch = run.context.samples.inputs(np.arange(300, 310))
    assert batch["voice"].shape == (10, 5, VOICE.dim)
    assert batch["face"].shape == (10, 5, FACE.dim)


def test_the_voice_of_a_place_is_that_of_its_own_time(store, tmp_path):
    """The frames of a window are 4 apart, at 30 a second; a voice row comes every 0.1 s."""
    samples = stage_run(small("sdt"), store, tmp_path).context.samples
    row = int(np.flatnonzero(store.moments.column("frame")[samples.rows.moments] == 60)[0])
    start = store.entries[0].voice[0]
    times_s = 2.0 + np.arange(-8, 12, 4) / 30
    expected = start + np.floor(times_s / 0.1 + 1e-6).astype(int)
    assert samples._voice_row[row].tolist() == expected.tolist()


@pytest.mark.parametrize("split", ["validation", "test"])
def test_epochs_are_chosen_on_validation_or_as_the_authors_did_on_test(
    store, tmp_path, monkeypatch, split
):
    scored, score = [], StageRun.score

    def spy(self, where):
        scores = score(self, where)
        values = [each.value for each in scores["ALL"].tasks.values()]
        scored.append((str(where), sum(values)))
        return scores

    monkeypatch.setattr(StageRun, "score", spy)
    recipe = small("sdt", f"sdt.selection.split={split}", "sdt.epochs=4", "sdt.optimizer.lr=0.01")
    folder = trained(recipe, store, tmp_path)
    values = [value for where, value in scored if where == split]
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    best = [line["epoch"] for line in lines if line.get("best")][-1]
    assert best == int(np.argmax(values))
    assert ("test" in {where for where, _ in scored}) is (split == "test")


def test_choosing_on_test_is_refused_where_people_are_held_out():
    with pytest.raises(RecipeError, match=r"chooses on test: set data.held_out to 0"):
        load_recipe("sdt", ["sdt.selection.split=test", "data.held_out=0.1"])


def test_what_a_store_lacks_is_named_before_training(store, tmp_path):
    no_streams = stills_store(tmp_path)
    with pytest.raises(StoreError, match="a store with a voice extractor for the net sdt"):
        one_epoch_of_steps(small("sdt"), no_streams, tmp_path / "none")
    silent = made_store(tmp_path / "silent", videos=4, frames=40, speaks=False)
    with pytest.raises(StoreError, match=r"windows with a voice, got none.*videos with sound"):
        trained(small("sdt"), silent, tmp_path / "run")
    faceless = small("sdt", "data.face=nobody")
    with pytest.raises(StoreError, match="stream called 'nobody'"):
        trained(faceless, store, tmp_path / "run")
    single = small("sdt", "data.window.span=0")
    with pytest.raises(StoreError, match=r"of more than one frame, got none.*not pictures"):
        trained(single, store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_networks_and_keys_that_do_not_fit_each_other(store, tmp_path):
    for name, change, message in (
        ("sdt", "data.voice_sequence=false", "voice_sequence=true for the net sdt, got false"),
        ("ruc_aim3", "data.voice_sequence=true", "voice_sequence=false for the net share_bottom"),
        ("ruc_aim3", "ruc.supervised.branch_weight=1.0", "for a net without branches"),
        ("ruc_aim3", "ruc.self_distillation.weight=1.0", "for a net without branches"),
    ):
        with pytest.raises(RecipeError, match=message):
            one_epoch_of_steps(small(name, change), store, tmp_path)
    with pytest.raises(RecipeError, match="voice_sequence is for windows"):
        load_recipe("light_voice", ["data.voice_sequence=true"])
    with pytest.raises(RecipeError, match=r"an even net.width in 2 heads"):
        network(width=15)


@pytest.mark.slow
def test_it_trains_scores_and_predicts_as_it_was_trained(store, tmp_path):
    predicts_as_trained((), "sdt", store, tmp_path / "run")


@pytest.mark.slow
def test_one_update_at_the_papers_width(store, tmp_path):
    run, terms = one_epoch_of_steps(load_recipe("sdt"), store, tmp_path)
    assert np.isfinite(terms["ALL.loss"])
    assert run.net.fusion.width == 1024


@pytest.mark.slow
def test_from_videos_to_a_predicted_video(tmp_path):
    """A corpus is extracted, learned from and exported; a video is answered as its rows are."""
    torch.set_num_threads(1)
    rows, frames, rate = [], 45, 30.0
    for clip, split in enumerate(["train", "validation", "test"]):
        pictures = [np.roll(portrait(), (n % 5, 2 * clip), (0, 1)) for n in range(frames)]
        write_video(tmp_path / f"{clip}.mp4", pictures, rate, tone(frames / rate))
        for n in range(frames):
            swing = np.sin(n / 6 + clip)
            row = {"clip": f"{clip}.mp4", "frame": n, "split": split, "person": str(clip)}
            row |= {"valence": swing, "arousal": -swing / 2, "expression": n % 8}
            rows.append(row | {name: int(swing > 0) for name in TASKS[2].columns})
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    networks = str(write_tiny_model(tmp_path / "tiny"))
    extract(LabelTable(tmp_path), tmp_path / "store", networks, networks)
    store = FeatureStore.open(tmp_path / "store")
    folder = trained(small("sdt", "data.window.hop=2"), store, tmp_path / "run")
    export_run(folder, store)
    predictor = Predictor(folder.model)
    table = predictor.predict(tmp_path / "2.mp4")
    opened, stages = open_run(folder.root, store)
    own = np.flatnonzero(opened.samples.rows.split == "test")
    expected = predict_rows(stages[-1].net, opened.samples, own, opened.tasks)
    assert len(table) == len(own) == frames
    np.testing.assert_allclose(table[["valence", "arousal"]], expected["VA"], atol=5e-3)
    np.testing.assert_allclose(table[list(TASKS[2].columns)], expected["AU"], atol=5e-3)
    assert table["voice_heard"].all()
    picture = predictor.predict(portrait())
    assert picture[["valence", "AU1"]].notna().all(axis=None)
    sound = predictor.predict(write_sound(tmp_path / "talk.wav", tone(3.0)))
    assert sound["valence"].notna().all()
    assert sound["AU1"].isna().all()

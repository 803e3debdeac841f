"""Acoustic features as labels that a store's own sound has, from the spectrum to two trainings."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.voice.test_pitch import store_of
from triaffect.datasets.spectra import LogmelSamples
from triaffect.errors import RecipeError, StoreError, TriaffectError
from triaffect.features.model_folder import load_model_folder
from triaffect.recipes.load import load_recipe
from triaffect.tasks import registry
from triaffect.tasks.acoustics import ACOUSTICS, DEVIATION, FURTHEST, MEAN
from triaffect.tasks.registry import TASKS, available_tasks, resolve_tasks
from triaffect.training.export import export_run
from triaffect.training.run_folder import find_initial_weights, read_description
from triaffect.training.trainer import train
from triaffect.training.view import TrainingView
from triaffect.voice.acoustics import acoustic_features

SIZES = ("net.widths=[4, 8]", "net.pooled=2", "net.features=6", "data.stretch_s=1.0")
SHORT = ("data.batch_size=8", "voice.epochs=1", "voice.steps_per_epoch=2")
SMALL = (*SIZES, *SHORT, "data.pools.ALL=['made/EXPR']")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(registry, "_loaded", {})


def test_it_is_no_task_of_every_store_but_has_a_name():
    assert ACOUSTICS not in available_tasks()
    assert resolve_tasks(["EXPR", "ACOUSTICS"])[1] is ACOUSTICS
    columns = [name for each in TASKS for name in each.columns]
    assert not set(columns) & set(ACOUSTICS.columns)
    assert len(set(ACOUSTICS.columns)) == len(MEAN) == len(DEVIATION) == 49


def test_its_loss_is_the_smooth_l1_of_valid_entries_alone():
    rng = np.random.default_rng(0)
    raw = torch.from_numpy(rng.normal(size=(6, 49))).requires_grad_()
    target = torch.from_numpy(rng.normal(size=(6, 49)) * 2)
    valid = torch.from_numpy(rng.random((6, 49)) < 0.7)
    target[~valid] = torch.nan
    loss = ACOUSTICS.loss(raw, target, valid, torch.ones(6))
    off = (raw - target).abs()[valid]
    expected = torch.where(off < 1, off**2 / 2, off - 0.5).mean()
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    assert not raw.grad[~valid].any()
    assert raw.grad[valid].all()
    nothing = ACOUSTICS.loss(raw, target, torch.zeros_like(valid), torch.ones(6))
    assert nothing.item() == 0


def test_its_score_is_the_mean_concordance_of_the_features():
    rng = np.random.default_rng(1)
    truth, valid = rng.normal(size=(50, 49)), rng.random((50, 49)) < 0.8
    assert ACOUSTICS.score(truth, truth, valid).value == pytest.approx(1)
    half = ACOUSTICS.score(truth, truth / 2, valid)
    assert half.value == pytest.approx(np.mean(list(half.parts.values())))
    assert 0.7 < half.value < 0.82, "CCC of a series and its half: 0.8 around a mean of 0"
    groups = np.arange(50) % 3
    parts = ACOUSTICS.statistics(truth, truth / 2, valid, groups, 3).sum(0)
    assert ACOUSTICS.score_of(parts).value == pytest.approx(half.value)


def test_labels_are_those_of_the_spectra_of_every_moment_with_sound(tmp_path):
    store = store_of(tmp_path / "store", "logmel64_pitch")
    samples = LogmelSamples(store, resolve_tasks(["ACOUSTICS", "VA"]), 1.0)
    assert len(samples.rows) == len(store.moments), "labeled for VA or not"
    labels = samples.rows.targets["ACOUSTICS"]
    row = np.array([7])
    features = acoustic_features(samples.inputs(row)["logmel"])
    expected = ((features - MEAN) / DEVIATION).clip(-FURTHEST, FURTHEST)
    np.testing.assert_array_equal(labels.valid[row], ~np.isnan(features))
    np.testing.assert_allclose(labels.values[row], np.nan_to_num(expected), rtol=1e-4, atol=1e-5)
    assert labels.valid.mean() > 0.9
    assert not samples.rows.targets["VA"].valid.any()


def test_a_store_without_pitch_is_refused_with_the_remedy(tmp_path):
    store = store_of(tmp_path / "store", "logmel64")
    expected = "of logmel64_pitch for ACOUSTICS, got logmel64; extract the sound again with --voice"
    with pytest.raises(StoreError, match=expected):
        train(load_recipe("light_voice_acoustics", list(SMALL)), store, tmp_path / "run", seed=0)


def test_what_was_learned_of_sounds_begins_the_learning_of_expressions(tmp_path):
    store = store_of(tmp_path / "store", "logmel64_pitch")
    first = train(load_recipe("light_voice_acoustics", list(SMALL)), store, tmp_path / "a", seed=0)
    export_run(first, store)
    assert read_description(tmp_path / "a").unlearned == ()
    sounds = load_model_folder(first.model).file("voice.safetensors")
    recipe = load_recipe("light_voice_corpora", [*SMALL, "voice.optimizer.lr=1e-9"])
    initial = find_initial_weights(str(tmp_path / "a"), recipe, store)
    second = train(recipe, store, tmp_path / "b", seed=1, initial=initial)
    export_run(second, store)
    before, after = load_file(sounds), load_file(second.model / "voice.safetensors")
    assert {name for name in before if name.startswith("heads.")} == {
        "heads.ACOUSTICS.weight", "heads.ACOUSTICS.bias"
    }  # fmt: skip
    assert not any("ACOUSTICS" in name for name in after)
    torch.testing.assert_close(after["embed.0.weight"], before["embed.0.weight"])


def test_sounds_without_labels_are_learned_from_too(tmp_path):
    store = store_of(tmp_path / "store", "logmel64_pitch", labeled=8)
    recipe = load_recipe("light_voice_acoustics", [*SMALL, "data.pools.ALL=['ACOUSTICS']"])
    view = TrainingView.of(recipe, store, 0)
    added = view.moments.dictionary_column("label_set") == "ACOUSTICS"
    sources = view.moments.dictionary_column("source").take(np.flatnonzero(added))
    assert sorted(sources.unique()) == [f"made/{k}" for k in (10, 11, 8, 9)]
    assert len(view.moments) == len(store.moments) + 3 * 4, "0.5, 1 and 1.5 s of two seconds"
    run = train(recipe, store, tmp_path / "run", seed=0)
    assert "ALL.label.ACOUSTICS" in (run.root / "journal.jsonl").read_text()


def test_a_pool_without_rows_is_refused_in_one_line(tmp_path):
    store = store_of(tmp_path / "store", "logmel64_pitch", labeled=0)
    recipe = load_recipe("light_voice_acoustics", [*SMALL, "data.pools.ALL=['made/EXPR']"])
    assert len(LogmelSamples(store, [ACOUSTICS], 1.0).rows) == 0, "no moment, no row"
    with pytest.raises(TriaffectError, match="ALL"):
        train(recipe, store, tmp_path / "run", seed=0)


def test_labels_that_are_computed_from_sound_need_sound_as_input(tmp_path):
    store = store_of(tmp_path / "store", "logmel64_pitch")
    recipe = load_recipe("default", ["tasks=['VA', 'EXPR', 'AU', 'ACOUSTICS']"])
    with pytest.raises(RecipeError, match="'logmel' for labels that are computed from sound, got"):
        train(recipe, store, tmp_path / "run", seed=0)

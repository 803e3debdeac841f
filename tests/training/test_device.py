"""Training on a device apart from the processor: a pretended one, and a card if there is one."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.training.pretended import DIED, NAME
from tests.training.recipes import small
from tests.training.stores import crops_store, made_store
from triaffect.errors import RunError
from triaffect.training.device import CPU, TorchDevice
from triaffect.training.trainer import train

CARD = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
)
CALM = ("net.dropout=0.0",)
"""Nothing random but what the processor draws."""
CALM_DEFAULT = (*CALM, "net.drop_face=0.0", "net.drop_voice=0.0")
ONCE = ("teacher.epochs=1", "student.epochs=1")
ALONE = ("supervised.epochs=1", "data.batch_size=32")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    torch.set_num_threads(1)
    return made_store(tmp_path_factory.mktemp("data") / "store", videos=4, frames=60)


def trained_on(device, store, out, recipe, *arguments):
    command = [sys.executable, "-W", "ignore", "-m", "tests.training.pretended"]
    command += [device, str(store.path), str(out), recipe, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def epochs(root):
    lines = [json.loads(line) for line in (root / "journal.jsonl").read_text().splitlines()]
    return [(line["losses"], line["validation"]) for line in lines if "losses" in line]


@pytest.mark.parametrize("device", [NAME, CARD])
@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("default", (*CALM_DEFAULT, "student.distillation.missing_only=true")),
        ("paper_as_coded", CALM),
    ],
)
def test_it_learns_the_same_as_on_the_processor(store, tmp_path, device, recipe, changes):
    changes = (*ONCE, *changes)
    here = train(small(recipe, *changes), store, tmp_path / "here")
    done = trained_on(device, store, tmp_path / "there", recipe, *changes)
    assert done.returncode == 0, done.stderr[-3000:]
    for one, other in zip(epochs(here.root), epochs(tmp_path / "there"), strict=True):
        assert one[0] == pytest.approx(other[0], rel=1e-3)


def test_varied_crops_and_convolutions(tmp_path):
    store = crops_store(tmp_path / "store")
    changes = (*CALM, "face.epochs=1", "face.precision=float32", "data.held_out=0")
    changes += ("data.mix=0.5", "data.batch_size=32", "face.average=0.9")
    here = train(small("light_face", *changes), store, tmp_path / "here")
    done = trained_on(NAME, store, tmp_path / "there", "light_face", *changes)
    assert done.returncode == 0, done.stderr[-3000:]
    (one, _), (other, _) = epochs(here.root)[0], epochs(tmp_path / "there")[0]
    assert one == pytest.approx(other, rel=1e-3)


def test_mixed_precision_goes_through_the_same_code(store, tmp_path):
    plain = train(small("supervised", *ALONE, *CALM), store, tmp_path / "plain")
    changes = (*ALONE, *CALM, "supervised.precision=bfloat16")
    done = trained_on(NAME, store, tmp_path / "mixed", "supervised", *changes)
    assert done.returncode == 0, done.stderr[-3000:]
    (one, _), (other, _) = epochs(plain.root)[0], epochs(tmp_path / "mixed")[0]
    assert one == pytest.approx(other, rel=0.05)
    assert one != pytest.approx(other, rel=1e-4)


def test_killed_there_and_given_again_it_ends_the_same(store, tmp_path):
    """Dropout draws from the device's own random numbers: their state is kept too."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert trained_on(NAME, store, whole, "supervised", *ALONE).returncode == 0
    died = trained_on(NAME, store, killed, "supervised", "--die-after", "2", *ALONE)
    assert died.returncode == DIED, died.stderr[-3000:]
    assert f"rng.{NAME}" in load_file(killed / "checkpoint.safetensors")
    assert trained_on(NAME, store, killed, "supervised", *ALONE).returncode == 0
    assert epochs(whole) == epochs(killed)
    for which in ("best", "last"):
        place = f"stages/supervised/{which}.safetensors"
        one, other = load_file(whole / place), load_file(killed / place)
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_run_stays_where_it_was_begun(store, tmp_path):
    recipe = small("default", *ONCE)
    folder = train(recipe, store, tmp_path / "run")
    about = json.loads(folder.description.read_text())
    assert about["device"] == "cpu"
    folder.description.write_text(json.dumps({**about, "device": "cuda"}))
    with pytest.raises(RunError, match="the run's own device cuda, got cpu"):
        train(recipe, store, tmp_path / "run", resume=True)
    del about["device"]
    folder.description.write_text(json.dumps(about))
    train(recipe, store, tmp_path / "run", resume=True)


def test_a_place_is_where_the_network_is():
    assert TorchDevice.of(torch.nn.Linear(2, 2)) == CPU
    assert TorchDevice.of(torch.nn.ReLU()) == CPU
    assert TorchDevice.of(torch.nn.Linear(2, 2, device="meta")).name == "meta"


@pytest.mark.parametrize(
    ("cuda", "told"), [(None, "built without CUDA"), ("13.0", "no card or driver")]
)
def test_a_card_that_is_not_there_is_told(monkeypatch, cuda, told):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(RunError, match=told):
        TorchDevice.named("cuda")

import json

import pytest
import torch
from safetensors.torch import load_file

from tests.e2e.kills import COSTS
from tests.training.recipes import small
from tests.training.stores import crops_store, made_store
from triaffect.errors import RunError
from triaffect.training.run_folder import read_recipe
from triaffect.training.trainer import train


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made_store(tmp_path_factory.mktemp("data") / "store")


class KilledError(Exception):
    pass


def killing(after):
    """A report that fails after so many iterations, as a kill would."""
    count = 0

    def report(*_):
        nonlocal count
        count += 1
        if count == after:
            raise KilledError

    return report


@pytest.mark.parametrize("name", ["default", "paper_as_coded"])
def test_a_killed_run_ends_as_one_that_was_not(store, tmp_path, name):
    ends_the_same(small(name), store, tmp_path, (3, 11, 17))


def test_a_killed_run_keeps_its_average_and_its_mixtures(tmp_path):
    changes = ["data.held_out=0", "data.batch_size=32", "data.mix=0.5", "face.average=0.9"]
    recipe = small("light_face", *changes, "face.optimizer.warmup=1.5")
    ends_the_same(recipe, crops_store(tmp_path / "store"), tmp_path, (2, 3))


def ends_the_same(recipe, store, tmp_path, kills, **more):
    torch.set_num_threads(1)
    whole = train(recipe, store, tmp_path / "whole", seed=4, **more)
    for after in kills:
        with pytest.raises(KilledError):
            train(
                recipe,
                store,
                tmp_path / "killed",
                seed=4,
                resume=True,
                report=killing(after),
                checkpoint_every_s=0,
                **more,
            )
    same_end(whole, train(recipe, store, tmp_path / "killed", seed=4, resume=True, **more))


def same_end(whole, resumed):
    """Weights, journal and scores of two runs are the same, to the bit."""
    for stage in read_recipe(whole.root).stages:
        for which in ("best", "last"):
            one, other = (load_file(f.weights(stage, which)) for f in (whole, resumed))
            assert one.keys() == other.keys()
            assert all(torch.equal(one[key], other[key]) for key in one)
    assert _lines(whole) == _lines(resumed)
    assert json.loads(whole.scores.read_text()) == json.loads(resumed.scores.read_text())


def _lines(folder):
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in COSTS} for line in lines]


def test_another_seed_is_another_run(store, tmp_path):
    recipe = small("default", "teacher.epochs=1", "student.epochs=1")
    folder = train(recipe, store, tmp_path / "run", seed=1)
    with pytest.raises(RunError, match="--resume"):
        train(recipe, store, tmp_path / "run", seed=1)
    with pytest.raises(RunError, match="seed"):
        train(recipe, store, tmp_path / "run", seed=2, resume=True)
    with pytest.raises(RunError, match="recipe_hash"):
        train(small("default"), store, tmp_path / "run", seed=1, resume=True)
    other = train(recipe, store, tmp_path / "other", seed=2)
    one, two = (load_file(f.weights("student", "last")) for f in (folder, other))
    assert any(not torch.equal(one[key], two[key]) for key in one)


def test_a_folder_with_other_files_is_left_alone(store, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="other files"):
        train(small("default"), store, tmp_path)


def test_a_damaged_checkpoint_is_told(store, tmp_path):
    recipe = small("default")
    with pytest.raises(KilledError):
        train(recipe, store, tmp_path / "run", report=killing(3), checkpoint_every_s=0)
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(RunError, match="damaged"):
        train(recipe, store, tmp_path / "run", resume=True)

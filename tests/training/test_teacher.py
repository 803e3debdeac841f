"""What a teacher said is kept, and is what it would say."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.recipes import small
from tests.training.stores import made_store
from triaffect.tasks.registry import TASKS
from triaffect.training import distillation as module
from triaffect.training.build import TrainingContext, build_net, build_samples
from triaffect.training.checkpoint import write_tensors
from triaffect.training.device import CPU
from triaffect.training.distillation import StoredTeacher
from triaffect.training.run_folder import RunFolder
from triaffect.training.stage import StageRun
from triaffect.training.trainer import train

NAMES = ["default", "paper_as_coded", "paper_as_published"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    torch.set_num_threads(1)
    return made_store(tmp_path_factory.mktemp("data") / "store")


def student(store, name, root: Path, *overrides) -> StageRun:
    """The second stage of a recipe, taught by a random teacher."""
    recipe = small(name, *overrides)
    samples = build_samples(recipe.data, store, TASKS)
    work = TrainingContext(recipe, store, samples, TASKS, RunFolder(root), 3)
    torch.manual_seed(5)
    net = build_net(recipe, recipe.stages["teacher"], store, TASKS)
    for which in ("best", "last"):
        write_tensors(work.folder.weights("teacher", which), net.state_dict())
    return StageRun(work, 1)


@pytest.mark.parametrize("name", NAMES)
def test_stored_answers_are_those_of_the_moment(store, tmp_path, name):
    run = student(store, name, tmp_path)
    for _, kind, rows in list(run.plan(0).updates(run.distilled_kinds))[:6]:
        batch = CPU.tensors(run.context.samples.inputs(rows))
        with torch.no_grad():
            wanted = run.teacher(batch).raw
        found = run.stored.raw(rows)
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            torch.testing.assert_close(found[key], value, rtol=0, atol=1e-5, msg=f"{kind} {key}")


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_those_without_the_file(store, tmp_path, name):
    with_file, without = (student(store, name, tmp_path / each) for each in ("a", "b"))
    without.stored = None
    losses = []
    for run in (with_file, without):
        torch.manual_seed(1)
        updates = list(run.plan(0).updates(run.kinds))[:8]
        losses.append([run.update(0, i, kind, rows) for i, kind, rows in updates])
    assert any(name.startswith("teacher.") for each in losses[0] for name in each)
    for one, other in zip(*losses, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)


def test_the_teacher_is_asked_once_about_each_row(store, tmp_path):
    run = student(store, "paper_as_published", tmp_path)
    asked = []
    run.teacher.register_forward_hook(lambda _, inputs, __: asked.append(len(inputs[0]["face"])))
    for epoch in range(2):
        for iteration, kind, rows in run.plan(epoch).updates(run.kinds):
            run.update(epoch, iteration, kind, rows)
    assert "MTL" not in run.distilled_kinds
    assert sum(asked) == sum(len(run.training[kind]) for kind in run.distilled_kinds)


def test_a_varied_row_is_asked_about_each_time(store, tmp_path):
    assert student(store, "paper_as_published", tmp_path, "data.augment=true").stored is None


@pytest.mark.parametrize("left", [0, 1, 2_000, 2_816, 8_448, 8_500])
def test_a_file_cut_off_anywhere_ends_with_the_same_bytes(store, tmp_path, monkeypatch, left):
    """Also where a power cut left room but no content for what was written last."""
    monkeypatch.setattr(module, "CHUNK", 16)
    monkeypatch.setattr(module, "SYNC_EVERY", 2)  # 2,816 bytes
    whole = student(store, "paper_as_published", tmp_path / "whole").stored
    rows = whole._rows[:3]
    whole.raw(rows)
    content = whole.path.read_bytes()
    assert len(content) > 8_500
    cut = student(store, "paper_as_published", tmp_path / "cut").stored
    cut.path.parent.mkdir(parents=True)
    on_disk = max(0, left - 2_816)
    cut.path.with_name(cut.path.name + ".part").write_bytes(
        content[:on_disk] + bytes(left - on_disk)
    )
    cut.raw(rows)
    assert cut.path.read_bytes() == content
    assert not list(cut.path.parent.glob("*.part"))


def test_answers_are_told_as_they_come(store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 64)
    stored = student(store, "paper_as_published", tmp_path).stored
    seen = []
    stored.fill(lambda *told: seen.append(told))
    total = len(stored._rows)
    assert seen == [(min(done, total), total) for done in range(64, total + 64, 64)]
    stored.fill(lambda *told: seen.append(told))
    assert len(seen) == -(-total // 64), "what is there is not computed again"
    stored.remove()
    assert not stored.path.exists()
    stored.remove()


class KilledError(Exception):
    pass


def test_killed_while_the_teacher_speaks_and_amid_the_student(store, tmp_path, monkeypatch):
    """Ends bit for bit as a run that was never interrupted."""
    monkeypatch.setattr(module, "CHUNK", 32)
    monkeypatch.setattr(module, "SYNC_EVERY", 1)
    recipe, seen = small("paper_as_published"), []
    whole = train(recipe, store, tmp_path / "whole", seed=4, report=lambda *told: seen.append(told))
    asked = [told for told in seen if told[0] == "student: answers of teacher"]
    assert [told[1] for told in asked] == [*range(32, asked[0][2], 32), asked[0][2]]
    assert all(math.isnan(told[3]) for told in asked)
    first = seen.index(asked[0])
    assert {told[0] for told in seen[:first]} == {"teacher"}, "before the student's first update"
    chunk, spoken = StoredTeacher._chunk, []

    def dying(self, rows):
        spoken.append(len(rows))
        if len(spoken) == 4:
            raise KilledError
        return chunk(self, rows)

    def report(stage, done, *_):
        if stage == "student" and done == 3:
            raise KilledError

    begun = {"seed": 4, "resume": True, "checkpoint_every_s": 0}
    monkeypatch.setattr(StoredTeacher, "_chunk", dying)
    with pytest.raises(KilledError):
        train(recipe, store, tmp_path / "killed", **begun)
    with pytest.raises(KilledError):
        train(recipe, store, tmp_path / "killed", **begun, report=report)
    resumed = train(recipe, store, tmp_path / "killed", **begun)
    rows = np.unique(spoken[:3])
    assert rows.tolist() == [32], "whole chunks were done before the kill"
    for which in ("best", "last"):
        one, other = (load_file(each.weights("student", which)) for each in (whole, resumed))
        assert all(torch.equal(one[key], other[key]) for key in one)
    for run in (whole, resumed):
        assert not list(run.root.rglob("teacher.float32*")), "nobody needs it any more"
    again = train(recipe, store, tmp_path / "killed", **begun)
    assert not list(again.root.rglob("teacher.float32*"))

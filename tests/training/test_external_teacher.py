"""Finished runs as teachers: what they say, who is refused, and what a run keeps of them."""

import json
import shutil

import pytest
import torch

from tests.training.external_teachers import STILL, made_teacher, student
from tests.training.stores import crops_store, made_store
from tests.training.test_resume import KilledError, killing, same_end
from triaffect.errors import RecipeError, RunError
from triaffect.evaluation.comparison.systems import find_entries
from triaffect.losses.distillation import Distillation
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import task as task_by_key
from triaffect.tasks.task import LossOptions
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.distillation import find_teachers
from triaffect.training.run_folder import RunFolder, begin_run
from triaffect.training.scoring import open_run
from triaffect.training.stage import StageRun
from triaffect.training.trainer import train

HOT = LossOptions(temperature=2.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    torch.set_num_threads(1)
    return crops_store(tmp_path_factory.mktemp("crops") / "store", rows=48)


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    """Two teachers of expression and action units, of other sizes, and one of expression alone."""
    root = tmp_path_factory.mktemp("teachers")
    made_teacher(store, root / "one")
    made_teacher(store, root / "two", 1, "net.widths=[12, 8]", "net.mirror=true")
    made_teacher(store, root / "expression", 2, "tasks=['EXPR']")
    return {path.name: path for path in root.iterdir()}


def begun(store, root, recipe, teachers):
    """The student's stage as a run would begin it."""
    found = find_teachers(teachers, recipe)
    folder = begin_run(root, recipe, 0, "data", resume=False, teachers=found)
    tasks = [task_by_key(key) for key in recipe.tasks]
    samples = build_samples(recipe.data, store, tasks)
    return StageRun(TrainingContext(recipe, store, samples, tasks, folder, 0), 0)


def networks(store, paths):
    return [open_run(path, store)[1][-1].net for path in paths]


def updated(run):
    """Terms of a first update, what the student was shown, and what it said."""
    seen = []
    run.net.register_forward_hook(lambda _, given, said: seen.append((given[0], said.raw)))
    _, kind, rows = next(iter(run.plan(0).updates(run.kinds)))
    terms = run.update(0, 0, kind, rows)
    ((shown, said),) = seen
    return terms, shown, said


@pytest.mark.parametrize("augment", ["false", "true"])
@pytest.mark.parametrize("names", [["one"], ["one", "two"], ["one", "expression"]])
def test_the_soft_loss_is_against_the_mean_of_what_the_teachers_say(
    store, runs, tmp_path, names, augment
):
    """Of what is shown to the student, varied or not."""
    paths = [runs[name] for name in names]
    run = begun(store, tmp_path / "run", student(f"data.augment={augment}"), paths)
    assert (run.stored is None) == (augment == "true")
    terms, shown, said = updated(run)
    with torch.no_grad():
        answers = [net(shown).raw for net in networks(store, paths)]
    for key in ("EXPR", "AU"):
        known = [each[key] for each in answers if key in each]
        wanted = 0.7 * task_by_key(key).soft_loss(said[key], sum(known) / len(known), HOT)
        assert terms[f"teacher.{key}"] == pytest.approx(wanted.item(), rel=1e-4)
        first = 0.7 * task_by_key(key).soft_loss(said[key], known[0], HOT)
        if len(known) > 1:
            assert terms[f"teacher.{key}"] != pytest.approx(first.item(), rel=1e-4)


def test_mixed_crops_are_shown_to_the_teachers_too(store, runs, tmp_path):
    run = begun(store, tmp_path / "run", student("data.mix=1"), [runs["one"]])
    assert run.stored is None
    terms, shown, said = updated(run)
    with torch.no_grad():
        (answer,) = [net(shown).raw for net in networks(store, [runs["one"]])]
    wanted = 0.7 * task_by_key("AU").soft_loss(said["AU"], answer["AU"], HOT)
    assert terms["teacher.AU"] == pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize("augment", ["false", "true"])
def test_who_knows_expression_alone_teaches_nothing_of_action_units(store, runs, tmp_path, augment):
    recipe = student(f"data.augment={augment}")
    run = begun(store, tmp_path / "run", recipe, [runs["expression"]])
    run.objectives = [each for each in run.objectives if isinstance(each, Distillation)]
    terms, _, _ = updated(run)
    assert set(terms) == {"teacher.EXPR", "loss"}
    learnt = {key: list(head.parameters()) for key, head in run.net.heads.items()}
    assert all(each.grad.abs().sum() > 0 for each in learnt["EXPR"])
    assert all(each.grad is None for each in learnt["AU"])


def test_tasks_that_the_student_has_not_are_not_asked_about(store, runs, tmp_path):
    run = begun(store, tmp_path / "run", student(*STILL, "tasks=['AU']"), [runs["one"]])
    terms, _, _ = updated(run)
    assert [name for name in terms if name.startswith("teacher.")] == ["teacher.AU"]
    assert set(run.stored.raw(run.training["ALL"][:2])) == {"AU"}


def test_teachers_stay_as_they_are(store, runs, tmp_path):
    run = begun(store, tmp_path / "run", student(), [runs["one"], runs["two"]])
    before = {name: value.clone() for name, value in run.teacher.state_dict().items()}
    updated(run)
    assert not any(module.training for module in run.teacher.modules())
    assert not any(each.requires_grad for each in run.teacher.parameters())
    assert all(torch.equal(run.teacher.state_dict()[n], value) for n, value in before.items())


@pytest.mark.parametrize(
    "changes", [STILL, ("data.augment=true", "data.mix=0.5")], ids=["still", "varied"]
)
@pytest.mark.parametrize("told", [True, False])
def test_a_run_goes_on_without_its_teachers_folders(store, runs, tmp_path, changes, told):
    """And ends to the bit as one that was not killed, whether its teachers are named again."""
    recipe = student(*changes)
    lent = [shutil.copytree(runs[name], tmp_path / name) for name in ("one", "expression")]
    teachers = find_teachers(lent, recipe)
    whole = train(recipe, store, tmp_path / "whole", 4, teachers=teachers)
    given = {"teachers": teachers, "checkpoint_every_s": 0, "resume": True}
    with pytest.raises(KilledError):
        train(recipe, store, tmp_path / "killed", 4, report=killing(2), **given)
    for path in lent:
        shutil.rmtree(path)
    again = given["teachers"] = teachers if told else ()
    for after in (2, 1):
        with pytest.raises(KilledError):
            train(recipe, store, tmp_path / "killed", 4, report=killing(after), **given)
    same_end(whole, train(recipe, store, tmp_path / "killed", 4, resume=True, teachers=again))
    about = json.loads(whole.description.read_text())
    assert about["teachers"] == [each.sha256 for each in teachers]
    assert [each["tasks"] for each in about["teachers_recipes"]] == [["EXPR", "AU"], ["EXPR"]]
    assert sorted(path.name for path in whole.teachers.iterdir()) == [
        "0.safetensors",
        "1.safetensors",
    ]
    assert open_run(whole.root, store)[1][0].name == "face", "nothing else is needed afterwards"


def test_a_run_goes_on_with_its_own_teachers_alone(store, runs, tmp_path):
    recipe = student("face.epochs=1")
    one, two = find_teachers([runs["one"], runs["two"]], recipe)
    train(recipe, store, tmp_path / "run", teachers=[one, two])
    for other in ([one], [two, one], [one, two, two]):
        with pytest.raises(RunError, match="the run's own teachers"):
            train(recipe, store, tmp_path / "run", resume=True, teachers=other)
    plain = student("face.epochs=1", "face.teacher=initial")
    with pytest.raises(RecipeError, match="--init"):
        train(plain, store, tmp_path / "run", resume=True)


def test_what_a_start_left_that_was_killed_is_replaced(store, runs, tmp_path):
    recipe, left = student("face.epochs=1"), RunFolder(tmp_path / "run").teachers
    left.mkdir(parents=True)
    for name in ("0.safetensors.part", "0.safetensors", "7.safetensors"):
        (left / name).write_text("half")
    folder = train(recipe, store, tmp_path / "run", teachers=find_teachers([runs["one"]], recipe))
    assert [path.name for path in left.iterdir()] == ["0.safetensors"]
    own = RunFolder(runs["one"]).weights("face", "best").read_bytes()
    assert folder.teacher(0).read_bytes() == own


def test_who_cannot_teach_is_told(store, runs, tmp_path):
    recipe = student()
    half = shutil.copytree(runs["one"], tmp_path / "half")
    RunFolder(half).scores.unlink()
    va = made_teacher(store, tmp_path / "va", 0, "tasks=['VA']", "data.balance=[]").root
    for path, message in (
        (tmp_path / "nothing", r"nothing: expected a run folder with run.json, got none"),
        (half, r"half: expected a finished run as teacher, got one without .* --resume"),
        (va, r"va: expected a teacher of EXPR, AU, got one of VA"),
    ):
        with pytest.raises(RunError, match=message) as told:
            find_teachers([runs["one"], path], recipe)
        assert "\n" not in str(told.value)


def test_teachers_of_other_inputs_are_told(runs, tmp_path):
    for name, theirs in (("light_voice", "logmel of 3 s"), ("default", "windows of face, voice")):
        recipe = load_recipe(name)
        with pytest.raises(RunError, match=f"a teacher that takes {theirs}.*, got crops") as told:
            find_teachers([runs["one"]], recipe)
        assert "\n" not in str(told.value)
    videos = made_store(tmp_path / "videos", videos=4, frames=40)
    changes = ["data.held_out=0", "supervised.epochs=1", "data.batch_size=32"]
    narrow = load_recipe("supervised", [*changes, "net.lstm=4", "data.window.span=20"])
    run = train(narrow, videos, tmp_path / "windows").root
    assert find_teachers([run], narrow)
    wide = load_recipe("supervised", [*changes, "data.window.span=30"])
    with pytest.raises(RunError, match=r"span=30.*, got .*span=20"):
        find_teachers([run], wide)


def test_teachers_and_who_listens_come_together(store, runs, tmp_path):
    with pytest.raises(
        RecipeError, match=r"teachers for the stage face, got none; .*--teacher RUN"
    ):
        train(student(), store, tmp_path / "run")
    deaf = student("face.teacher=initial")
    plain = load_recipe("light_face", ["data.held_out=0"])
    with pytest.raises(RecipeError, match="leave --teacher out"):
        train(plain, store, tmp_path / "run", teachers=find_teachers([runs["one"]], deaf))
    assert not (tmp_path / "run").exists()


def test_runs_of_other_teachers_are_other_systems(store, runs, tmp_path):
    recipe = student("face.epochs=1")
    paths = []
    for name in ("one", "two"):
        found = find_teachers([runs[name]], recipe)
        paths.append(str(train(recipe, store, tmp_path / name, len(paths), teachers=found).root))
    entries = [find_entries([path], store, tmp_path / "runs", [0])[0] for path in paths]
    assert entries[0].identity != entries[1].identity
    assert entries[0].identity.recipe == entries[1].identity.recipe
    with pytest.raises(RecipeError, match="differ in the runs that they learn from; change"):
        find_entries(paths, store, tmp_path / "runs", [0])


def test_a_recipe_that_needs_teachers_is_compared_by_its_runs_alone(store, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "light_face_student"\nname = "mine"\n')
    with pytest.raises(
        RecipeError, match=r"mine, which learns from another model or other runs.*--teacher"
    ):
        find_entries([str(mine)], store, tmp_path / "runs", [0])

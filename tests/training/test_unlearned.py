"""What was not learned is not said, and labels that never differ decide nothing."""

import numpy as np
import pytest

from tests.training.recipes import small
from tests.training.stores import made_store
from triaffect.cli._tables import evaluation_tables
from triaffect.cli.train import _report_event
from triaffect.corpora.rows import TaskLabels, build_moments
from triaffect.evaluation.evaluate import EvaluationOptions, evaluate_run
from triaffect.features.model_folder import load_model_folder
from triaffect.metrics.abaw import reachable_scores
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import targets_of
from triaffect.training import trainer
from triaffect.training.export import export_run
from triaffect.training.run_folder import (
    EpochEnded,
    InitialWeights,
    NothingToChooseBy,
    NothingToLearn,
    read_journal,
)
from triaffect.training.trainer import train
from triaffect.training.view import constant_parts, unlearned_columns
from triaffect.types import LabelOrigin

VA, EXPR, AU = TASKS


def moments(split="train", **labels):
    """Six rows of a split with labels by task key."""
    keys = {"source": "a", "person": "p", "track": 0, "frame": np.arange(6), "split": split}
    keys |= {"time_s": np.arange(6) / 5, "label_set": "MTL"}
    values = {key: TaskLabels.from_nan(np.asarray(each, float)) for key, each in labels.items()}
    return build_moments(6, keys, values, LabelOrigin.HUMAN)


def units(**columns):
    values = np.full((6, 12), np.nan)
    for name, own in columns.items():
        values[:, AU.columns.index(name)] = own
    return values


def test_outputs_without_labels_or_with_one_label_alone_are_listed():
    values = np.column_stack([np.linspace(-1, 1, 6), np.full(6, 0.2)])
    classes = np.eye(8)[[0, 0, 4, 4, 5, 5]]
    both = units(AU1=[0, 1, 0, 1, 0, 1], AU2=np.ones(6), AU4=[0, 1, *[np.nan] * 4])
    unlearned = unlearned_columns(moments(VA=values, EXPR=classes, AU=both), TASKS)
    learned = {"valence", "p_neutral", "p_happiness", "p_sadness", "AU1", "AU4"}
    every = [name for task in TASKS for name in task.columns]
    assert unlearned == [name for name in every if name not in learned]


def test_labels_of_other_splits_teach_nothing():
    values = np.column_stack([np.linspace(-1, 1, 6)] * 2)
    assert unlearned_columns(moments("test", VA=values), [VA]) == ["valence", "arousal"]
    assert unlearned_columns(moments("train", VA=values), [VA]) == []


def test_parts_whose_labels_never_differ_decide_nothing():
    both = targets_of(units(AU1=[0, 1, 0, 1, 0, 1], AU2=np.ones(6), AU4=np.zeros(6)))
    assert constant_parts(AU, both) == set(AU.part_names) - {"AU1"}
    assert constant_parts(EXPR, targets_of(np.eye(8)[[4] * 6])) == set(EXPR.part_names)
    assert constant_parts(EXPR, targets_of(np.eye(8)[[4, 4, 0]])) == set()
    values = targets_of(np.column_stack([np.linspace(0, 1, 6), np.full(6, 0.2)]))
    assert constant_parts(VA, values) == {"arousal"}


def test_the_best_that_labels_allow_is_told_where_it_is_less_than_whole():
    assert reachable_scores({"EXPR": targets_of(np.eye(8))}) == {}
    some = {"EXPR": targets_of(np.eye(8)[:6])}
    some["AU"] = targets_of(units(AU1=[0, 1, 0, 1, 0, 1], AU2=np.ones(6)))
    best = {"P_EXPR": 6 / 8, "P_AU": 2 / 12, "P_MTL": 6 / 8 + 2 / 12}
    assert reachable_scores(some) == pytest.approx(best)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a store without a label of valence and arousal, and that store."""
    folder = tmp_path_factory.mktemp("unlearned")
    store = made_store(folder / "store", tasks=TASKS[1:])
    events = []
    recipe = small("default", "data.held_out=0", "student.epochs=1", "teacher.epochs=1")
    made = train(recipe, store, folder / "run", listener=events.append)
    export_run(made, store)
    return made, store, events


def test_training_names_what_it_has_no_labels_for(run, capsys):
    made, _, events = run
    expected = NothingToLearn(columns=["valence", "arousal"])
    assert events[0] == expected
    assert next(read_journal(made.journal)) == expected
    _report_event(expected)
    assert "no labels to learn valence, arousal from" in capsys.readouterr().err


def test_nothing_without_labels_has_a_score_that_is_told(run, capsys):
    made, store, events = run
    epochs = [event for event in events if isinstance(event, EpochEnded)]
    assert all("P_VA" not in pool for each in epochs for pool in each.validation.values())
    assert all({"P_EXPR", "P_AU", "P_MTL"} == each.validation["ALL"].keys() for each in epochs)
    _report_event(epochs[-1])
    line = capsys.readouterr().err
    assert "P_EXPR" in line
    assert "P_VA" not in line
    evaluation = evaluate_run(made.root, store, options=EvaluationOptions(resamples=0))
    overview = next(evaluation_tables(evaluation))
    cells = {column.header: list(column.cells) for column in overview.columns}
    assert set(cells["P_VA"]) == {""}
    assert all(cells["P_EXPR"])
    assert all(cells["P_MTL"])


def test_the_model_leaves_it_blank(run):
    """What a blank output does is tested with the tool that describes models."""
    made, _, _ = run
    outputs = load_model_folder(made.model).manifest.outputs
    assert {name: each.blank for name, each in outputs.items()} == {
        "valence": "always",
        "arousal": "always",
    }


def test_what_the_model_leaves_blank_has_no_score_of_its_run_either(run, tmp_path):
    made, _, _ = run
    labelled = made_store(tmp_path / "store")
    stages = evaluate_run(made.root, labelled, options=EvaluationOptions(resamples=0)).stages
    for each in stages.values():
        assert each.overall.tasks["VA"].count
        assert each.overall.official["P_VA"] == 0
        assert each.overall.official["P_EXPR"] > 0


def test_what_initial_weights_know_is_not_blank(run, tmp_path, capsys):
    made, store, _ = run
    weights = made.weights("teacher", "best")
    recipe = small("default", "data.held_out=0", "student.epochs=1", "teacher.epochs=1")
    for blank in ({}, {"arousal": "always"}):
        initial = InitialWeights(weights, "x", blank=blank)
        events = []
        train(
            recipe,
            store,
            tmp_path / f"run{len(blank)}",
            listener=events.append,
            initial=initial,
        )
        (told,) = [event for event in events if isinstance(event, NothingToLearn)]
        assert told.columns == list(blank)
        assert {*told.columns, *told.initial} == {"valence", "arousal"}
        _report_event(told)
        answered = ", ".join(told.initial)
        line = f"no labels to learn {answered} from; what one begins with answers them still"
        assert line in capsys.readouterr().err


def test_where_no_label_decides_the_last_epoch_is_taken_and_that_is_told(run, capsys, monkeypatch):
    made, store, _ = run
    monkeypatch.setattr(trainer, "constant_parts", lambda task, _: set(task.part_names))
    events = []
    recipe = small("default", "data.held_out=0")
    train(recipe, store, made.root.parent / "constant", listener=events.append)
    for stage in ("teacher", "student"):
        own = [each for each in events if getattr(each, "stage", "") == stage]
        assert isinstance(own[0], NothingToChooseBy)
        assert [each.best for each in own[1:]] == [True, True]
        _report_event(own[0])
        assert f"{stage}: its last epoch is taken, as no label" in capsys.readouterr().err


def test_what_an_initial_model_leaves_blank_without_a_face_stays_so_until_it_has_labels(
    run, tmp_path
):
    made, store, _ = run
    recipe = small("default", "data.held_out=0", "student.epochs=1", "teacher.epochs=1")
    blank = {"valence": "without face", "p_anger": "without voice"}
    initial = InitialWeights(made.weights("teacher", "best"), "x", blank=blank)
    tuned = train(recipe, store, tmp_path / "run", initial=initial)
    export_run(tuned, store)
    outputs = load_model_folder(tuned.model).manifest.outputs
    assert {name: each.blank for name, each in outputs.items()} == {"valence": "without face"}

"""Scoring a prediction table against a truth table, and the errors of both."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from tests.tasks.toy import PAIN
from triaffect.errors import TableError
from triaffect.metrics.tables import score_tables
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import targets_of
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

ROWS = 40


def keys(rows=ROWS):
    numbers = np.arange(rows)
    return {
        "clip": np.where(numbers % 2, "a.mp4", "b.mp4"),
        "frame": numbers // 2,
        "face_id": np.zeros(rows, int),
    }


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    truth, said = pd.DataFrame(keys()), pd.DataFrame(keys())
    for table in (truth, said):
        table["valence"], table["arousal"] = rng.uniform(-1, 1, (2, ROWS))
        table["expression"] = rng.choice(EXPRESSIONS[:4], ROWS)
    for name in ACTION_UNITS.columns:
        truth[name] = (rng.random(ROWS) < 0.4).astype(int)
        said[name] = rng.random(ROWS)
    return truth, said


def test_score_of_tables(tables):
    truth, said = tables
    score = score_tables(truth, said.sample(frac=1, random_state=1))
    x, y = truth["valence"], said["valence"]
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    expected = 2 * covariance / (x.var(ddof=0) + y.var(ddof=0) + (x.mean() - y.mean()) ** 2)
    assert score.tasks["VA"].parts["valence"] == pytest.approx(expected, rel=0, abs=1e-10)
    each = f1_score(
        truth["expression"],
        said["expression"],
        labels=EXPRESSIONS,
        average=None,
        zero_division=0,
    )
    assert score.official["P_EXPR"] == pytest.approx(each.mean(), rel=0, abs=1e-10)
    each = [f1_score(truth[n], said[n] >= 0.5) for n in ACTION_UNITS.columns]
    assert score.official["P_AU"] == pytest.approx(np.mean(each), rel=0, abs=1e-10)


def test_a_csv_round_trip_scores_the_same(tables, tmp_path):
    truth, said = tables
    truth.loc[3, ["valence", "expression", "AU4"]] = None
    whole = score_tables(truth, said)
    for table, name in ((truth, "t.csv"), (said, "p.csv")):
        table.to_csv(tmp_path / name, index=False)
    for options in ({}, {"dtype": str}, {"dtype": str, "keep_default_na": False}):
        read = (pd.read_csv(tmp_path / name, **options) for name in ("t.csv", "p.csv"))
        assert score_tables(*read) == whole


def test_blank_is_not_annotated(tables):
    truth, said = tables
    blanked = truth.copy()
    blanked.loc[:9, ["valence", "arousal", "expression", *ACTION_UNITS.columns]] = None
    assert score_tables(blanked, said) == score_tables(truth[10:], said)


def test_expression_by_name_or_number(tables):
    truth, said = tables
    numbered = truth.assign(expression=truth["expression"].map(EXPRESSIONS.index))
    assert score_tables(numbered, said) == score_tables(truth, said)
    assert score_tables(truth.assign(expression=truth["expression"].str.title()), said) == (
        score_tables(truth, said)
    )


def test_expression_from_probabilities_where_there_is_no_name(tables):
    truth, said = tables
    one_hot = np.eye(8)[said["expression"].map(EXPRESSIONS.index)]
    spread = said.drop(columns="expression").assign(
        **{name: 0.9 * one_hot[:, k] + 0.0125 for k, name in enumerate(EXPRESSION.columns)}
    )
    assert score_tables(truth, spread) == score_tables(truth, said)


def test_thresholds(tables):
    truth, said = tables
    score = score_tables(truth, said, thresholds={"AU1": 0.9})
    expected = f1_score(truth["AU1"], said["AU1"] >= 0.9)
    assert score.tasks["AU"].parts["AU1"] == pytest.approx(expected)
    plain = score_tables(truth, said).tasks["AU"].parts
    assert score.tasks["AU"].parts["AU2"] == plain["AU2"]
    with pytest.raises(TableError, match="AU20; did you mean AU2"):
        score_tables(truth, said, thresholds={"AU20": 0.5})


def test_a_frame_without_a_face_is_scored_by_what_was_said(tables):
    truth, said = tables
    said["face_id"] = said["face_id"].astype(object)
    truth["face_id"] = truth["face_id"].astype(object)
    said.loc[5, ["face_id", "expression", "valence", "arousal"]] = None
    truth.loc[5, "face_id"] = None
    score = score_tables(truth, said)
    assert score.tasks["EXPR"].count == ROWS
    zeros = said.assign(valence=said["valence"].fillna(0), arousal=said["arousal"].fillna(0))
    assert score.tasks["VA"] == score_tables(truth, zeros).tasks["VA"]


def test_truth_without_face_ids(tables):
    truth, said = tables
    expected = score_tables(truth, said)
    without = truth.drop(columns="face_id")
    assert score_tables(without, said) == expected
    assert score_tables(without, said.drop(columns="face_id")) == expected
    elsewhere = pd.concat([said, said[:1].assign(frame=99), said[:1].assign(frame=99, face_id=1)])
    assert score_tables(without, elsewhere) == expected
    second = pd.concat([said, said[:1].assign(face_id=1)])
    assert score_tables(truth, second) == expected
    with pytest.raises(TableError, match=r"several for clip b.mp4, frame 0; give the truth"):
        score_tables(without, second)


def test_duplicate_rows_are_errors(tables):
    truth, said = tables
    twice = pd.concat([truth, truth[4:5]])
    with pytest.raises(TableError, match=r"truth: .* several for clip b.mp4, frame 2, face_id 0"):
        score_tables(twice, said)
    for columns in ([], ["face_id"]):
        with pytest.raises(TableError, match=r"prediction: .*several for clip b.mp4, frame 2"):
            score_tables(truth.drop(columns=columns), pd.concat([said, said[4:5]]))


def test_duplicate_predictions_are_errors_even_where_there_is_no_truth(tables):
    truth, said = tables
    twice = pd.concat([said, said[4:5]])
    with pytest.raises(TableError, match=r"one row for each clip, frame, face_id"):
        score_tables(truth.drop(index=4, columns="face_id"), twice)


def test_unmatched_truth_rows_are_errors(tables):
    truth, said = tables
    with pytest.raises(TableError, match=r"none for 2 of 40, such as clip b.mp4, frame 0"):
        score_tables(truth, said[2:])
    score_tables(truth[2:], said)  # a prediction without truth is none


def test_missing_columns(tables):
    truth, said = tables
    with pytest.raises(TableError, match=r"truth: .*none named frame"):
        score_tables(truth.drop(columns="frame"), said)
    with pytest.raises(TableError, match=r"prediction: .*none named AU26"):
        score_tables(truth, said.drop(columns="AU26"))
    with pytest.raises(TableError, match=r"prediction: .*none named p_neutral"):
        score_tables(truth, said.drop(columns="expression"))
    with pytest.raises(TableError, match="truth: expected at least one label, got none"):
        score_tables(truth[["clip", "frame", "face_id"]], said)
    alone = truth[["clip", "frame", "face_id", "valence", "arousal"]]
    score = score_tables(alone, said[["clip", "frame", "face_id", "valence", "arousal"]])
    assert score.tasks["EXPR"].count == 0


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("valence", -5, r"row 3, column valence: expected a number from -1 to 1, got -5"),
        ("valence", "high", r"row 3, column valence: expected a number, got 'high'"),
        ("arousal", "nan", r"column arousal: expected a number, got 'nan'"),
        ("arousal", np.inf, r"column arousal: expected a finite number, got infinity"),
        ("expression", "9", r"row 3, column expression: expected an expression"),
        ("expression", -1, r"column expression: .* got -1; leave the cell blank"),
        ("expression", "hapiness", r"got 'hapiness'; did you mean happiness"),
        ("AU4", 0.3, r"row 3, column AU4: expected 0 \(absent\) or 1 \(present\), got 0.3"),
        ("AU4", -1, r"column AU4: expected a number from 0 to 1, got -1"),
        ("frame", 1.5, r"row 3, column frame: expected a whole number, got 1.5"),
        ("frame", None, r"row 3, column frame: expected a whole number, got a blank"),
    ],
)
def test_values_that_no_label_can_have(tables, column, value, message):
    truth, said = tables
    truth[column] = truth[column].astype(object)
    truth.loc[2, column] = value
    with pytest.raises(TableError, match=r"truth, " + r".*" + message):
        score_tables(truth, said)


def test_probabilities_must_add_up(tables):
    truth, said = tables
    spread = said.drop(columns="expression").assign(**dict.fromkeys(EXPRESSION.columns, 0.125))
    spread.loc[6, "p_fear"] = 0.5
    with pytest.raises(TableError, match=r"row 7, .* add up to 1, got 1.375"):
        score_tables(truth, spread)


def test_a_decoded_prediction_reads_back_as_itself():
    rng = np.random.default_rng(3)
    said = {
        "VA": rng.uniform(-1, 1, (6, 2)),
        "EXPR": rng.dirichlet(np.ones(8), 6),
        "AU": rng.random((6, 12)),
    }
    columns = {}
    for task in TASKS:
        said[task.key][4] = np.nan
        decoded = task.decode(said[task.key])
        assert tuple(decoded) == task.prediction_columns
        columns |= decoded
    table = pd.DataFrame(columns)
    assert table["expression"][4] is None or np.isnan(table["expression"][4])
    for task in (VALENCE_AROUSAL, ACTION_UNITS):
        np.testing.assert_array_equal(task.read_predictions(table, "table"), said[task.key])
    read = EXPRESSION.read_predictions(table.drop(columns="expression"), "table")
    np.testing.assert_array_equal(read, said["EXPR"])
    named = EXPRESSION.read_predictions(table, "table")
    np.testing.assert_array_equal(named[:4].argmax(1), said["EXPR"][:4].argmax(1))
    assert np.isnan(named[4]).all()


def test_labels_become_targets(tables):
    truth, _ = tables
    truth["AU7"] = truth["AU7"].astype(object)
    truth.loc[1, "AU7"] = " "
    targets = targets_of(ACTION_UNITS.read_values(truth.drop(columns="AU2"), "truth"))
    assert targets.values.dtype == np.float32
    assert not targets.valid[:, 1].any()
    assert targets.valid[:, 0].all()
    assert targets.valid[:, 4].sum() == ROWS - 1
    assert targets.weight.tolist() == [1.0] * ROWS


def test_a_fourth_task_is_scored_like_the_rest(tables):
    truth, said = tables
    truth["pain"], said["pain"] = 0.25, 0.5
    score = score_tables(truth, said, [*TASKS, PAIN])
    assert score.official["P_PAIN"] == pytest.approx(0.75)
    three = score_tables(truth, said).official
    assert score.official["P_MTL"] == pytest.approx(three["P_MTL"] + 0.75)

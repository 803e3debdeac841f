"""Prediction tables of two installations: what counts as a difference, and what is expected."""

import sys

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.scripts import load

script = load("compare_predictions")


@pytest.fixture
def table():
    """Two faces in two frames, and a frame without one."""
    return pd.DataFrame(
        {
            "clip": ["a.mp4"] * 5,
            "frame": [0, 0, 1, 1, 2],
            "face_id": pd.array([0, 1, 0, 1, None], "Int64"),
            "box_x": [10.0, 50.5, 10.25, 50.0, np.nan],
            "valence": [0.1, -0.2, 0.3, -0.4, np.nan],
            "expression": ["neutral", "anger", "neutral", "fear", None],
            "face_seen": [True, True, True, True, False],
        }
    )


def differences(old, new):
    result = script.compare_tables(old, new)
    return [(each.column, each.row, each.old, each.new) for each in result.differences]


def test_equal_tables_have_no_difference(table):
    result = script.compare_tables(table, table.copy())
    assert (result.rows, result.columns, result.differences) == (5, 7, [])
    assert result.largest["circumplex"] == 0


def test_numbers_may_differ_by_a_hundred_thousandth(table):
    new = table.assign(valence=table["valence"] + 0.9e-5)
    result = script.compare_tables(table, new)
    assert result.differences == []
    assert result.largest["circumplex"] == pytest.approx(0.9e-5)


def test_a_number_that_is_off_by_two_is_named_with_its_row(table):
    new = table.copy()
    new.loc[3, "valence"] += 2e-5
    ((column, row, old_value, new_value),) = differences(table, new)
    assert (column, row) == ("valence", "a.mp4, 1, 1")
    assert new_value - old_value == pytest.approx(2e-5)
    result = script.compare_tables(table, new)
    assert result.largest == pytest.approx({"time": 0, "other": 0, "face": 0, "circumplex": 2e-5})


def test_a_number_against_a_blank_is_infinitely_far(table):
    for old, new in ((table, table.copy()), (table.copy(), table)):
        new.loc[0, "box_x"] = np.nan
        assert [each[0] for each in differences(old, new)] == ["box_x"]
        assert script.compare_tables(old, new).largest["face"] == np.inf
        new.loc[0, "box_x"] = 10.0


@pytest.mark.parametrize(("column", "value"), [("expression", "fear"), ("face_seen", False)])
def test_texts_and_truth_values_must_be_equal(table, column, value):
    new = table.copy()
    new.loc[0, column] = value
    assert differences(table, new) == [(column, "a.mp4, 0, 0", table.loc[0, column], value)]


def test_a_text_against_a_blank_differs(table):
    new = table.copy()
    new.loc[0, "expression"] = None
    assert [each[:2] for each in differences(table, new)] == [("expression", "a.mp4, 0, 0")]


def test_a_missing_row_is_one_difference_on_either_side(table):
    fewer = table.drop(index=1)
    assert differences(table, fewer) == [("(row)", "a.mp4, 0, 1", "there", "missing")]
    assert differences(fewer, table) == [("(row)", "a.mp4, 0, 1", "missing", "there")]


def test_a_row_that_comes_twice_is_a_difference(table):
    new = pd.concat([table, table[:1]], ignore_index=True)
    assert differences(table, new) == [("(row)", "a.mp4, 0, 0 #1", "missing", "there")]


def test_a_missing_column_is_named_on_either_side(table):
    fewer = table.drop(columns="box_x")
    assert differences(table, fewer) == [("(column)", "box_x", "there", "missing")]
    assert differences(fewer, table) == [("(column)", "box_x", "missing", "there")]


def test_the_order_of_rows_and_columns_counts(table):
    swapped = table.iloc[[1, 0, 2, 3, 4]]
    assert differences(table, swapped) == [("(row 0)", "(order)", "a.mp4, 0, 0", "a.mp4, 0, 1")]
    columns = [*table.columns[:3], *table.columns[:2:-1]]
    assert differences(table, table[columns]) == [
        ("(column 3)", "(order)", "box_x", "face_seen"),
    ]


def test_the_type_of_a_column_counts(table):
    new = table.assign(frame=table["frame"].astype("float64"))
    assert ("frame", "(type)", "int64", "float64") in differences(table, new)


def test_renamed_columns_are_compared_under_the_new_name(table, monkeypatch):
    monkeypatch.setattr(script, "RENAMED_COLUMNS", {"(.*)_above_own": r"\1_rel"})
    old = table.assign(valence_above_own=1.0)
    assert differences(old, table.assign(valence_rel=1.0)) == []
    assert len(differences(old, table.assign(valence_rel=1.1))) == 5


def test_only_what_a_rule_describes_is_expected():
    rule = script.Rule("sounds", "default|every", "valence", lambda each: each.new > each.old)
    greater, less = (script.Difference("valence", "x", 0.0, value) for value in (1.0, -1.0))
    assert rule.matches("sounds", "every", greater)
    assert not rule.matches("sounds", "every", less)
    assert not rule.matches("clips", "every", greater)
    assert not rule.matches("sounds", "causal", greater)
    other = script.Difference("valence_smooth", "x", 0.0, 1.0)
    assert not rule.matches("sounds", "every", other)


def test_a_crop_may_gain_a_face_but_not_lose_one():
    (rule,) = [rule for reason, rule in script.EXPECTED.items() if "more faces" in reason]
    for row, old, new, expected in (
        ("a.png, 0, <NA>", "there", "missing", True),
        ("a.png, 0, 0", "missing", "there", True),
        ("a.png, 0, 0", "there", "missing", False),
        ("a.png, 0, <NA>", "missing", "there", False),
    ):
        difference = script.Difference("(row)", row, old, new)
        assert rule.matches("crops", "default", difference) == expected
        assert not rule.matches("pictures", "default", difference)


def test_a_report_counts_by_reason_and_lists_at_most_thirty(capsys):
    report = script.Report({"a change": script.Rule(column="arousal")})
    differing = [script.Difference("valence", str(k), 0.0, 1.0) for k in range(40)]
    result = script.Comparison(40, 3, {}, [*differing, script.Difference("arousal", "0", 0.0, 1.0)])
    report.add("clips", "default", "table.csv", result)
    report.print_differences()
    assert report.counts == {"unexplained": 40, "a change": 1}
    out = capsys.readouterr().out
    assert "and 11 more" in out
    assert "valence [29]: 0.0 -> 1.0  (unexplained)" in out
    assert "valence [30]" not in out


def test_options_and_their_values_are_written_in_the_new_spelling():
    spellings = {"every": "stride", "centred": "centered"}
    new = script.Installation(sys.executable, spellings=spellings)
    words = ["clips", "--every", "0.2s", "--smooth", "centred:0.4s", "--detect-every", "0"]
    assert new._spell(words) == [
        "clips",
        "--stride",
        "0.2s",
        "--smooth",
        "centered:0.4s",
        "--detect-every",
        "0",
    ]


class MadeTables(script.Installation):
    """An installation whose tables are made here; it counts its predictions."""

    tables, code, calls = {}, 0, 0

    def predict(self, kind, variant, inputs, output):
        MadeTables.calls += 1
        output.mkdir(parents=True, exist_ok=True)
        for name, made in self.tables.items():
            if name.endswith("csv"):
                made.to_csv(output / name, index=False)
            elif name.endswith("parquet"):
                made.to_parquet(output / name, index=False)
            else:
                made.to_json(output / name, orient="records", lines=True)
        (output / script.EXIT_CODE).write_text(str(self.code))
        (output / script.MESSAGES).write_text("what was printed")
        return self.code


@pytest.fixture
def made(monkeypatch, table):
    for name, value in (("tables", {"table.csv": table}), ("code", 0), ("calls", 0)):
        monkeypatch.setattr(MadeTables, name, value)
    return MadeTables(sys.executable)


def test_old_tables_are_predicted_again_only_if_something_changed(tmp_path, made):
    still = tmp_path / "inputs" / "stills" / "a.jpg"
    still.parent.mkdir(parents=True)
    for content, source, calls in (
        (b"a", "one", 1),
        (b"a", "one", 1),
        (b"b", "one", 2),
        (b"b", "two", 3),
        (b"b", "two", 3),
    ):
        still.write_bytes(content)
        script.predict_or_reuse(made, source, "stills", "default", tmp_path)
        assert MadeTables.calls == calls


def test_an_old_installation_that_refuses_its_options_is_no_standard(tmp_path, made, monkeypatch):
    monkeypatch.setattr(MadeTables, "code", 2)
    with pytest.raises(SystemExit, match="what was printed"):
        script.predict_or_reuse(made, "one", "stills", "default", tmp_path)


def test_missing_tables_and_other_exit_codes_are_differences(tmp_path, made, table, monkeypatch):
    made.predict("stills", "default", tmp_path, tmp_path / "old")
    monkeypatch.setattr(MadeTables, "tables", {"summary.parquet": table})
    monkeypatch.setattr(MadeTables, "code", 1)
    made.predict("stills", "default", tmp_path, tmp_path / "new")
    outcomes = {
        name: [(each.column, each.old, each.new) for each in result.differences]
        for name, result in script.compare_folders(tmp_path / "old", tmp_path / "new")
    }
    assert outcomes == {
        "summary.parquet": [("(table)", "missing", "there")],
        "table.csv": [("(table)", "there", "missing")],
        "exit code": [("(exit code)", 0, 1)],
    }


def test_written_tables_keep_their_types_and_blanks(tmp_path, made, table, monkeypatch):
    names = ("table.csv", "table.parquet", "table.jsonl")
    monkeypatch.setattr(MadeTables, "tables", dict.fromkeys(names, table))
    made.predict("stills", "default", tmp_path, tmp_path / "old")
    new = table.copy()
    new.loc[0, "expression"] = "NA"
    monkeypatch.setattr(MadeTables, "tables", dict.fromkeys(names, new))
    made.predict("stills", "default", tmp_path, tmp_path / "new")
    results = list(script.compare_folders(tmp_path / "old", tmp_path / "new"))
    assert len(results) == len(names)
    for _, result in results:
        assert [(each.column, each.new) for each in result.differences] == [("expression", "NA")]
    for _, result in script.compare_folders(tmp_path / "old", tmp_path / "old"):
        assert (result.rows, result.differences) == (5, [])


def test_inputs_are_spread_over_what_there_is_and_further_ones_are_made(tmp_path):
    source, inputs = tmp_path / "source", tmp_path / "inputs"
    for folder in ("one", "two"):
        (source / folder).mkdir(parents=True)
        for number in range(5):
            (source / folder / f"{number}.wav").write_bytes(folder.encode())
            (source / folder / "notes.txt").touch()
    frames = [np.full((96, 120, 3), 20 * k, np.uint8) for k in range(12)]
    script._write_clip(source / "clip.avi", frames)
    script.cv2.imwrite(str(source / "still.png"), np.full((300, 200, 3), 200, np.uint8))
    script.copy_inputs([source], inputs, {"clips": 5, "stills": 5, "sounds": 4})
    names = {path.relative_to(inputs).as_posix() for path in inputs.rglob("*.*")}
    sounds = {"sounds/0.wav", "sounds/3.wav", "sounds/1.wav", "sounds/4.wav"}
    assert names == {"clips/clip.avi", "stills/still.png", *sounds}
    assert [(inputs / name).read_bytes() for name in sorted(sounds)] == [
        *(b"one", b"two", b"one", b"two"),
    ]
    script.make_inputs(inputs)
    assert {path.name for path in inputs.iterdir()} == set(script.KINDS)
    assert script.prepare_inputs([], tmp_path, {}) == list(script.KINDS)


@pytest.mark.parametrize("variant", script.VARIANTS)
def test_variants_name_kinds_that_exist(variant):
    assert set(script.VARIANTS[variant].kinds) <= set(script.KINDS)


def test_a_difference_fails_the_script_and_equality_does_not(tmp_path, made, table, monkeypatch):
    monkeypatch.setattr(script, "Installation", lambda *_arguments: made)
    monkeypatch.setattr(MadeTables, "describe", lambda _self: ("0", tmp_path / "none"))
    still = tmp_path / "a.png"
    script.cv2.imwrite(str(still), np.zeros((9, 9, 3), np.uint8))
    line = ["x", "old", "new", str(still), "--variants", "every", "default"]
    monkeypatch.setattr(sys, "argv", [*line, "--old-tables", str(tmp_path / "old")])
    with pytest.raises(SystemExit) as done:
        script.main()
    assert done.value.code == 0
    monkeypatch.setattr(MadeTables, "tables", {"table.csv": table.assign(valence=0.5)})
    with pytest.raises(SystemExit) as done:
        script.main()
    assert done.value.code == 1

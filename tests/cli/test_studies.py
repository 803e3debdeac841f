"""Studies as a user meets them: predict with people and events, summarize, groups."""

import json
import sys

import numpy as np
import openpyxl
import pandas as pd
import pyreadstat
import pytest
import skimage.io

import triaffect
from tests.prediction.tiny_model import portrait, write_clip, write_tiny_model
from tests.studies.made_study import write_study
from triaffect.cli.app import main
from triaffect.studies.study import StudyWarning


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["triaffect", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        out = capsys.readouterr()
        return done.value.code or 0, out.out, out.err

    return call


@pytest.fixture
def clips(tmp_path):
    (tmp_path / "clips").mkdir()
    for name in ("a", "b"):
        write_clip(tmp_path / "clips" / f"{name}.mp4", 12)
    (tmp_path / "p.csv").write_text("clip,participant,group\na,Ann,x\nb,Ben,y\n")
    (tmp_path / "e.csv").write_text(
        "clip,start,end,name\na,0,0.2,rest\na,0.2,9,joke\nb,0.1,9,joke\n"
    )
    return tmp_path


def test_predict_writes_the_studys_columns_and_its_summary(run, clips, model):
    code, _, err = run(
        *("predict", "clips", "-o", "t.csv", "--people", "p.csv", "--events", "e.csv"),
        *("--summary", "s.csv", "--baseline", "rest", "--model", model),
    )
    assert code == 0
    assert "clips without the baseline rest: clips/b.mp4" in err
    assert "are cut there" in err
    table = pd.read_csv("t.csv")
    assert table.groupby("clip")["participant"].unique().str[0].tolist() == ["Ann", "Ben"]
    own = table[table["clip"] == "clips/a.mp4"]
    assert (own["event"] == "rest").tolist() == (own["time_s"] < 0.2 - 1e-6).tolist()
    rest = own[own["event"] == "rest"]["valence"].median()
    assert np.allclose(own["valence_above_own"], own["valence"] - rest, atol=2e-6, equal_nan=True)
    assert table[table["clip"] == "clips/b.mp4"]["valence_above_own"].isna().all()
    summary = pd.read_csv("s.csv")
    assert summary[["participant", "group", "event"]].values.tolist() == [
        *(["Ann", "x", "rest"], ["Ann", "x", "joke"], ["Ben", "y", "joke"])
    ]
    metadata = json.loads((clips / "t.csv.meta.json").read_text())
    assert metadata["options"]["people"] == ["participant", "group"]
    assert metadata["columns"]["event"].startswith("names of the events")
    assert "in the events rest" in metadata["columns"]["valence_above_own"]
    # the table says all by itself, and gives the same again
    assert run("summarize", "t.csv", "-o", "again.csv")[0] == 0
    again = pd.read_csv("again.csv")
    columns = ["participant", "event", "seconds", "valence_mean", "smile_share", "happiness_share"]
    pd.testing.assert_frame_equal(again[columns], summary[columns])


def test_predict_groups_its_summary(run, clips, model):
    code, _, err = run(
        *("predict", "clips", "-o", "t.csv", "--people", "p.csv", "--by", "group"),
        *("--summary", "s.csv", "--model", model),
    )
    assert (code, err) == (0, "")
    summary = pd.read_csv("s.csv")
    assert summary["group"].unique().tolist() == ["x", "y"]
    assert set(summary["participants"]) <= {0, 1}
    assert summary["low"].isna().all()


def test_other_programs_columns_have_the_study_at_the_end(run, clips, model):
    arguments = ("--columns", "openface", "--people", "p.csv", "--model", model)
    assert run("predict", "clips", "-o", "t.csv", *arguments)[0] == 0
    assert pd.read_csv("t.csv").columns[-3:].tolist() == ["clip", "participant", "group"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "group"], "--by: expected people to group, got none named; add --people"),
        (
            ["--people", "p.csv", "--by", "sex"],
            "expected a column of the people, participant, group",
        ),
        (["--people", "p.csv", "--baseline", "rest"], "got 'rest', without --events"),
        (["--baseline", "rest"], "--baseline: expected a time such as 5s, or an event's name, got"),
        (["--decimal-comma", "-o", "t.parquet"], "expected a .csv for decimal commas"),
    ],
)
def test_what_does_not_go_together_ends_before_any_work(run, clips, model, arguments, message):
    code, _, err = run("predict", "clips", "-o", "t.csv", "--model", model, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (clips / "t.csv").exists()


@pytest.mark.parametrize(
    ("column", "arguments"),
    [
        ("seconds", ()),
        ("AU6_share", ("--summary", "s.csv")),
        ("valence_smooth", ("--smooth", "centred")),
        ("AU01_c", ("--columns", "openface")),
        ("mean", ("--by", "mean", "--summary", "s.csv")),
    ],
)
def test_columns_of_the_outputs_are_not_the_peoples_before_any_work(
    run, clips, model, column, arguments
):
    (clips / "p.csv").write_text(f"clip,participant,{column}\na,Ann,1\nb,Ben,2\n")
    options = ("--people", "p.csv", "--model", model, *arguments)
    code, _, err = run("predict", "clips", "-o", "t.csv", *options)
    assert (code, err.count("\n")) == (2, 1), err
    assert f"{column}, which" in err
    assert not (clips / "t.csv").exists()


def test_short_events_are_the_same_from_predict_and_from_its_table(run, clips, model):
    text = "clip,start,end,name\na,0.01,0.05,startle\na,0.01,0.03,blink\nb,0.1,0.4,joke\n"
    (clips / "e.csv").write_text(text)
    study = ("--people", "p.csv", "--events", "e.csv", "--model", model)
    code, _, err = run("predict", "clips", "-o", "t.csv", "--summary", "s.csv", *study)
    assert code == 0
    assert "blank measures: blink (clips/a.mp4, 0.01 to 0.03 s)" in err
    summary = pd.read_csv("s.csv").set_index("event")
    assert summary["seconds"].to_dict() == pytest.approx(
        {"blink": 0, "startle": 0.04, "joke": summary.loc["joke", "seconds"]}
    )
    assert run("summarize", "t.csv", "-o", "again.csv")[0] == 0
    pd.testing.assert_frame_equal(pd.read_csv("again.csv").set_index("event"), summary)
    code, _, err = run("groups", "t.csv", "--by", "event", "-o", "g.html")
    assert code == 0
    assert "blink" in err
    assert "The table has no row of anybody in blink." in (clips / "g.html").read_text("utf-8")
    # who names the events otherwise in the table is believed
    table = pd.read_csv("t.csv")
    table["event"] = table["event"].replace("startle", "jump")
    table.to_csv("t.csv", index=False)
    assert run("summarize", "t.csv", "-o", "again.csv")[0] == 0
    assert pd.read_csv("again.csv")["event"].tolist() == ["jump", "joke"]


def test_summaries_for_excel_and_spss_hold_the_same_numbers(run, tmp_path):
    write_study(tmp_path)
    study = ("summarize", "study.csv", "--people", "people.csv", "--events", "events.csv")
    for name in ("s.csv", "s.xlsx", "s.sav"):
        code, out, _ = run(*study, "-o", name)
        assert (code, out) == (0, f"{name}: 12 rows\n")
    assert run(*study, "-o", "c.csv", "--decimal-comma")[0] == 0
    expected = pd.read_csv("s.csv")
    excel = pd.read_excel("s.xlsx")
    pd.testing.assert_frame_equal(excel, expected, check_dtype=False)
    sheet = openpyxl.load_workbook("s.xlsx")["columns"]
    meanings = {row[0].value: row[1].value for row in sheet.iter_rows(min_row=2)}
    assert meanings["smile_share"] == "smile: share of the time, 0 to 1"
    spss, labels = pyreadstat.read_sav("s.sav")
    pd.testing.assert_frame_equal(spss, expected, check_dtype=False)
    assert labels.column_names_to_labels["smile_share"] == "smile: share of the time, 0 to 1"
    comma = pd.read_csv("c.csv", sep=";", decimal=",", encoding="utf-8-sig")
    pd.testing.assert_frame_equal(comma, expected)


def test_a_predicted_table_for_spss_has_value_labels(run, clips, model):
    code, _, _ = run("predict", "clips", "-o", "t.sav", "--model", model, "--people", "p.csv")
    assert code == 0
    assert run("predict", "clips", "-o", "t.csv", "--model", model, "--people", "p.csv")[0] == 0
    table, labels = pyreadstat.read_sav("t.sav")
    expected = pd.read_csv("t.csv")
    assert np.allclose(table["valence"], expected["valence"], equal_nan=True)
    assert labels.variable_value_labels["face_seen"] == {0.0: "no", 1.0: "yes"}
    names = labels.variable_value_labels["expression"]
    assert names[0.0] == "neutral"
    assert table["expression"].map(names).tolist() == expected["expression"].tolist()
    assert "the file's own time" in labels.column_names_to_labels["time_s"]


def test_a_table_with_decimal_commas_is_read_back(run, clips, model):
    arguments = ("--people", "p.csv", "--model", model)
    assert run("predict", "clips", "-o", "t.csv", *arguments)[0] == 0
    assert run("predict", "clips", "-o", "c.csv", "--decimal-comma", *arguments)[0] == 0
    assert run("summarize", "t.csv", "-o", "s.csv")[0] == 0
    assert run("summarize", "c.csv", "-o", "again.csv")[0] == 0
    assert (clips / "s.csv").read_text() == (clips / "again.csv").read_text()


def test_without_the_extra_a_workbook_is_refused_before_any_work(run, clips, model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = run("predict", "clips", "-o", "t.xlsx", "--model", model)
    assert code == 2
    assert 'got none installed; pip install "triaffect[office]", or write a .csv' in err


def test_the_page_of_groups_says_who_was_compared_and_how(run, tmp_path):
    write_study(tmp_path)
    study = ("groups", "study.csv", "--people", "people.csv")
    code, out, _ = run(*study, "--by", "condition", "-o", "g.html")
    assert (code, out) == (0, "g.html\n")
    page = (tmp_path / "g.html").read_text("utf-8")
    assert "3 people in 6 clips, by condition (comedy: 3, news: 3)." in page
    assert "All are in several groups." in page
    assert "news minus comedy: \N{MINUS SIGN}0.20 (95 % interval" in page
    assert "the same 3 people, 0 of them higher" in page
    assert "Nobody showed: Frown, Brow raise, Lips parted." in page
    assert page.count("<polyline") == 9  # valence, arousal and smile of three people
    assert "p-value" not in page
    assert "<script" not in page
    code, _, err = run(*study, "-o", "g.html")
    assert code == 2
    assert "--by: expected a column to group by, got none; such as --by condition" in err


def test_names_in_a_page_cannot_become_elements(run, tmp_path):
    write_study(tmp_path)
    text = (tmp_path / "people.csv").read_text().replace("P01,comedy", "<b>P01,<i>com")
    (tmp_path / "people.csv").write_text(text)
    study = ("groups", "study.csv", "--people", "people.csv", "--by", "condition")
    assert run(*study, "-o", "g.html")[0] == 0
    page = (tmp_path / "g.html").read_text("utf-8")
    assert "<b>P01" not in page
    assert "<i>com" not in page
    assert "&lt;b&gt;P01" in page


def test_faces_become_aligned_pictures_and_a_sheet_a_person(run, clips, model):
    (clips / "p.csv").write_text("clip,participant\na,Ann\n")
    code, out, _ = run(
        *("predict", "clips", "-o", "t.csv", "--people", "p.csv", "--faces", "faces/of"),
        *("--model", model),
    )
    assert code == 0
    assert out.splitlines()[-1] == "faces/of"
    folder = clips / "faces" / "of"
    assert {path.name for path in folder.iterdir()} == {"a", "b", "Ann.jpg", "b.face-0.jpg"}
    rows = pd.read_csv("t.csv").query("clip == 'clips/a.mp4' and face_id == 0")
    pictures = sorted((folder / "a").iterdir())
    assert len(pictures) == min(24, len(rows))
    assert pictures[0].name == f"Ann-{rows['time_s'].min():09.3f}s.png"
    face = skimage.io.imread(pictures[0])
    assert face.shape == (160, 160, 3)
    sheet = skimage.io.imread(folder / "Ann.jpg")
    assert sheet.shape[1] == 160 * min(8, len(pictures))
    # the same eyes at the same spots: two pictures of a still person are alike
    other = skimage.io.imread(pictures[1])
    assert np.abs(face.astype(int) - other.astype(int)).mean() < 12


def test_faces_of_clips_of_one_name_are_not_mixed(run, tmp_path, model):
    for name in ("x", "y", "Z"):
        (tmp_path / name).mkdir()
    skimage.io.imsave(tmp_path / "x" / "a.png", portrait())
    skimage.io.imsave(tmp_path / "y" / "a.png", portrait()[::-1, ::-1][::-1].copy())
    skimage.io.imsave(tmp_path / "Z" / "A.png", portrait())
    code, _, _ = run("predict", "x", "y", "Z", "-o", "t.csv", "--faces", "f", "--model", model)
    assert code == 0
    sheets = {"a.face-0.jpg", "a-2.face-0.jpg", "A-3.face-0.jpg"}
    assert {path.name for path in (tmp_path / "f").iterdir()} == {"a", "a-2", "A-3", *sheets}
    assert all(skimage.io.imread(tmp_path / "f" / name).shape[1] == 160 for name in sheets)


def test_the_only_row_of_a_video_has_the_picture_of_its_own_moment(run, tmp_path, model):
    write_clip(tmp_path / "a.mp4", 50, sound=False)
    options = ["--start", "1.95s", "--model", model]
    run("predict", "a.mp4", "-o", "t.csv", "--faces", "f", *options)
    assert len(pd.read_csv("t.csv")) == 1
    run("predict", "a.mp4", "-o", "u.csv", "--faces", "g", "--start", "1s", "--model", model)
    (alone,) = (tmp_path / "f" / "a").iterdir()
    among = skimage.io.imread(tmp_path / "g" / "a" / alone.name)
    assert np.array_equal(skimage.io.imread(alone), among)


def test_a_folder_that_is_a_video_has_pictures_of_its_faces_too(run, tmp_path, model):
    (tmp_path / "shots").mkdir()
    for number in range(3):
        skimage.io.imsave(tmp_path / "shots" / f"{number}.png", np.roll(portrait(), number, axis=1))
    options = ["--images-as-video", "4", "--faces", "f", "--model", model]
    code, _, _ = run("predict", "shots", "-o", "t.csv", *options)
    assert code == 0
    pictures = sorted((tmp_path / "f" / "shots").iterdir())
    assert [each.name for each in pictures] == [
        f"face-0-{time:09.3f}s.png" for time in (0.0, 0.25, 0.5)
    ]


def test_a_baseline_that_no_face_outlasts_is_named(run, clips, model):
    code, _, err = run("predict", "clips", "-o", "t.csv", "--baseline", "5s", "--model", model)
    assert code == 0
    assert pd.read_csv("t.csv")["valence_above_own"].isna().all()
    words = "in 2 clips, such as clips/a.mp4, no face is seen longer than the baseline of 5 s"
    assert words in " ".join(err.split())
    code, _, err = run("predict", "clips", "-o", "t.csv", "--baseline", "0.2s", "--model", model)
    assert (code, "baseline" in err) == (0, False)
    with pytest.warns(StudyWarning, match="in clips/a.mp4 no face is seen longer"):
        triaffect.load(model).predict("clips/a.mp4", baseline="5s")


def test_python_predicts_with_people_and_events_as_the_command_does(run, clips, model):
    arguments = ("--people", "p.csv", "--events", "e.csv", "--baseline", "rest")
    arguments += ("--smooth", "centred")
    assert run("predict", "clips", "-o", "t.csv", "--model", model, *arguments)[0] == 0
    expected = pd.read_csv("t.csv")
    options = {"people": "p.csv", "events": ["e.csv"], "baseline": "rest", "smooth": "centred"}
    with pytest.warns(StudyWarning, match="clips without the baseline rest: clips/b.mp4"):
        table = triaffect.predict("clips", model=model, **options)
    assert table.columns.tolist() == expected.columns.tolist()
    assert table["participant"].tolist() == expected["participant"].tolist()
    assert table["event"].fillna("").tolist() == expected["event"].fillna("").tolist()
    for name in ("valence", "valence_smooth", "valence_above_own"):
        np.testing.assert_allclose(table[name], expected[name], atol=2e-6)
    assert table.attrs["model"]["name"]
    with pytest.warns(StudyWarning, match="are cut there"):
        groups = triaffect.summarize(table, by="group")
    assert set(groups["group"]) == {"x", "y"}
    assert set(groups["event"]) == {"rest", "joke"}
    with pytest.raises(triaffect.TableError, match="a clip of the table, got none: x"):
        triaffect.predict("clips", model=model, people=pd.DataFrame({"clip": ["x"], "name": ["y"]}))
    with pytest.warns(StudyWarning, match="clips without the baseline rest"):
        same = triaffect.load(model).predict("clips", **options)
    pd.testing.assert_frame_equal(same, table)
    assert same.attrs == table.attrs


def test_a_workbook_of_predictions_has_the_studys_columns(run, clips, model):
    arguments = ("--people", "p.csv", "--events", "e.csv", "--model", model)
    assert run("predict", "clips", "-o", "t.xlsx", *arguments)[0] == 0
    assert run("predict", "clips", "-o", "t.csv", *arguments)[0] == 0
    excel, expected = pd.read_excel("t.xlsx"), pd.read_csv("t.csv")
    assert excel.columns.tolist() == expected.columns.tolist()
    for name in ("participant", "group", "event"):
        assert excel[name].fillna("").tolist() == expected[name].fillna("").tolist()
    assert set(excel["event"].dropna()) == {"rest", "joke"}
    np.testing.assert_allclose(excel["valence"], expected["valence"], atol=1e-9)
    sheet = openpyxl.load_workbook("t.xlsx")["columns"]
    meanings = {row[0].value: row[1].value for row in sheet.iter_rows(min_row=2)}
    assert meanings["participant"].startswith("who it is, from the people's file")
    assert meanings["group"] == "group of the person, from the people's file"
    assert meanings["event"].startswith("names of the events of the moment")


def test_a_table_that_a_spreadsheet_has_sorted_otherwise_says_the_same(run, clips, model):
    study = ("--people", "p.csv", "--events", "e.csv")
    run("predict", "clips", "-o", "t.csv", "--model", model, *study)
    assert run("summarize", "t.csv", "-o", "one.csv")[0] == 0
    table = pd.read_csv("t.csv", dtype=str, keep_default_na=False)
    table.sort_values("valence").to_csv("t.csv", index=False)
    assert run("summarize", "t.csv", "-o", "two.csv")[0] == 0
    first, second = (
        pd.read_csv(name).sort_values(["clip", "event"], ignore_index=True)
        for name in ("one.csv", "two.csv")
    )
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize(("ending", "files"), [("csv", 1), ("srt", 2)])
def test_the_end_of_export_events_counts_and_names_files(run, clips, model, ending, files):
    run("predict", "clips", "-o", "t.csv", "--model", model)
    code, out, _ = run("export-events", "t.csv", "-o", f"e.{ending}", "--signs", "AU1")
    lines = out.splitlines()
    assert (code, len(lines)) == (0, files)
    assert ": " in lines[0]
    assert " episode" in lines[0]
    assert all((clips / line.partition(":")[0]).is_file() for line in lines)


def test_no_signs_are_a_mistake(run, clips):
    cells = "clip,time_s,face_id,valence,arousal\na,0,0,0.1,0.2\n"
    (clips / "t.csv").write_text(cells)
    code, _, err = run("export-events", "t.csv", "-o", "e.csv", "--signs", " , ")
    assert code == 2
    assert "--signs: expected signs of" in err


@pytest.mark.parametrize(
    "command",
    [
        ("summarize", "t.csv", "-o", "t.csv"),
        ("summarize", "t.csv", "-o", "p.csv", "--people", "p.csv"),
        ("export-events", "t.csv", "-o", "t.csv"),
        ("groups", "t.csv", "-o", "t.csv", "--people", "p.csv", "--by", "group"),
    ],
)
def test_no_table_that_is_read_is_replaced(run, clips, command):
    cells = "clip,time_s,face_id,detection,voice_heard,valence,arousal\na,0,0,0.9,false,0.1,0.2\n"
    (clips / "t.csv").write_text(cells)
    code, _, err = run(*command)
    assert code == 2
    assert "expected an output beside what is read" in err or "expected a page whose" in err
    assert (clips / "t.csv").read_text() == cells
    assert (clips / "p.csv").read_text().startswith("clip,participant")

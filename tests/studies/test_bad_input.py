"""Wrong files of people and events: one line that says what to do, or a stated warning."""

import re
import sys

import pytest

from tests.studies.made_study import write_study
from triaffect.cli.app import main

HEAD = "clip,start,end,name\n"
WHO = "clip,participant,condition\n"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Summarize the made study with files; gives exit code and lines of stderr."""
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        line = ["triaffect", "summarize", "study.csv", "-o", "out.csv", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as done:
            main()
        lines = capsys.readouterr().err.splitlines()
        return done.value.code or 0, [line for line in lines if "no metadata" not in line]

    return call


WRONG_EVENTS = {
    "unknown clip": (HEAD + "P99,1,2,joke\n", "a clip of the table, got none: P99 (e.csv, line 2)"),
    "no end column": ("clip,start,name\na,1,x\n", "a column end, got columns clip, start, name"),
    "no start column": ("clip,end,name\nP01_news,1,x\n", "a column start"),
    "no name column": ("clip,start,end\nP01_news,1,2\n", "a column name"),
    "end before start": (HEAD + "P01_news,5,2,joke\n", "ends after it starts, got 5 s to 2 s"),
    "negative": (HEAD + "P01_news,-1,2,joke\n", "a time from 0 s on"),
    "a word for a time": (HEAD + "P01_news,soon,2,joke\n", "line 2, column start"),
    "blank start": (HEAD + "P01_news,,2,joke\n", "the start of the event in seconds, got a blank"),
    "blank name": (HEAD + "P01_news,1,2,\n", "a name of the event, got a blank cell"),
    "blank clip": (HEAD + ",1,2,joke\n", "a clip, got a blank cell"),
    "empty file": ("", "a table with a header, got an empty file"),
    "spaces only": (" \n\n ", "a table with a header, got an empty file"),
    "header alone": (HEAD, "at least one event, got a header alone"),
    "points alone": (HEAD + "P01_news,1,1,joke\n", "--event-length"),
    "too many cells": (HEAD + "P01_news,1,2,joke, long\n", "4 cells, got 5"),
    "a part of a name": (HEAD + "news,1,2,x\n", "a clip of the table"),
    "binary": (b"\x00\x01\x02\x00\x00\x00\x07" * 9, "text, got bytes that are none"),
    "column twice": ("clip,start,start,end,name\nP01_news,1,1,2,x\n", "one column start"),
    "broken quotes": (HEAD + 'P01_news,1,2,"joke\n', "a CSV table"),
}


@pytest.mark.parametrize("case", WRONG_EVENTS)
def test_wrong_events_are_one_line_that_says_what_to_do(run, tmp_path, case):
    content, message = WRONG_EVENTS[case]
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "e.csv").write_bytes(content)
    code, lines = run("--events", "e.csv")
    assert code == 2
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert re.search("expected .*, got ", lines[0])
    assert not (tmp_path / "out.csv").exists()


GOOD = "clip;start;end;name\nP01_news;1,5;3,25;Späße\n"
ENCODED = {
    "utf-8": GOOD.encode(),
    "mark": GOOD.encode("utf-8-sig"),
    "utf-16": GOOD.encode("utf-16"),
    "utf-16 without a mark": GOOD.encode("utf-16-le"),
    "windows line ends": GOOD.replace("\n", "\r\n").encode(),
    "tabs": GOOD.replace(";", "\t").encode(),
    "commas and quotes": b'clip,start,end,name\nP01_news,"1,5","3,25",Sp\xc3\xa4\xc3\x9fe\n',
    "minutes": GOOD.replace("1,5", "0:01.5").encode(),
    "upper case, spaces": GOOD.replace("clip;start", " Clip ;START").encode(),
    "duration": "clip,onset,duration,trial_type\nP01_news.mp4,1.5,1.75,Späße\n".encode(),
}


@pytest.mark.parametrize("case", ENCODED)
def test_events_of_any_spreadsheet_are_read_alike(run, tmp_path, case):
    (tmp_path / "e.csv").write_bytes(ENCODED[case])
    assert run("--events", "e.csv") == (0, [])
    text = (tmp_path / "out.csv").read_text("utf-8").splitlines()
    assert len(text) == 2
    assert text[1].startswith("videos/P01_news.mp4,0,Späße,1.5,3.25,")


DOUBTFUL_EVENTS = {
    "latin-1": (GOOD.encode("latin-1"), "read as Windows-1252"),
    "after the end": (HEAD + "P01_news,1,2,x\nP01_news,80,90,y\n", "have no rows: y (videos/P01"),
    "past the end": (
        HEAD + "P01_news,8,30,x\n",
        "are cut there: x (videos/P01_news.mp4, 8 to 30 s",
    ),
    "one name overlaps": (HEAD + "P01_news,1,3,x\nP01_news,2,4,x\n", "are united: x (videos"),
    "two names overlap": (HEAD + "P01_news,1,3,x\nP01_news,2,4,y\n", "count for both: x"),
    "twice": (HEAD + "P01_news,1,3,x\nP01_news,1,3,x\n", "it counts once: x"),
    "between two rows": (
        HEAD + "P01_news,1,3,x\nP01_news,4.02,4.08,y\n",
        "measures: y (videos/P01",
    ),
    "alike": (HEAD + "P01_news,1,3,x\nP01_news,4,5,X\n", "but for capitals or spaces: x and X"),
    "one clip unknown": (HEAD + "P01_news,1,3,x\nP77,1,3,x\n", "no such clip in the table: P77"),
    "a point among others": (HEAD + "P01_news,1,3,x\nP01_news,2,,y\n", "are left out: y"),
}


@pytest.mark.parametrize("case", DOUBTFUL_EVENTS)
def test_doubtful_events_are_used_and_warned_of(run, tmp_path, case):
    content, message = DOUBTFUL_EVENTS[case]
    (tmp_path / "e.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, lines = run("--events", "e.csv")
    assert code == 0
    assert len(lines) == 1, lines
    assert lines[0].startswith("triaffect: warning: ")
    assert message in lines[0]
    assert (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("grouped", [False, True])
def test_no_column_of_the_people_is_called_as_one_of_the_summary(run, tmp_path, grouped):
    by = ("--by", "participant,event") if grouped else ()
    assert run("--people", "people.csv", "--events", "events.csv", *by)[0] == 0
    header = (tmp_path / "out.csv").read_text().partition("\n")[0].split(",")
    own = {"participant", "condition", "age", *(() if grouped else ("clip", "face_id"))}
    added = {"valence_smooth", "AU1_present", "valence_above_own", "valence_above_own_mean"}
    names = set(header) - own | (set() if grouped else added)
    assert {"mean", "clips"} <= names if grouped else {"seconds", "smile_per_min"} <= names
    for name in sorted(names):
        (tmp_path / "p.csv").write_text(f"clip,participant,{name}\nP01_news,Ann,1\n")
        code, lines = run("--people", "p.csv", *(("--by", name) if grouped else ()))
        assert (code, len(lines)) == (2, 1), lines
        assert name in lines[0]
        assert re.search("expected .*, got ", lines[0])


def test_a_missing_value_of_r_is_a_blank_cell(run, tmp_path):
    rows = ("P01_news,Ann,a", "P02_news,Ben,NA", "P03_news,Cem,n/a", "P01_comedy,Ann,a")
    (tmp_path / "p.csv").write_text(WHO + "\n".join(rows))
    code, lines = run("--people", "p.csv", "--by", "condition")
    assert code == 0
    assert any("in no group, as their cell is blank: Ben, Cem" in line for line in lines)
    text = (tmp_path / "out.csv").read_text().splitlines()[1:]
    assert {line.partition(",")[0] for line in text} == {"a"}
    (tmp_path / "p.csv").write_text("clip,face,participant\nP01_news,NA,Ann\nP02_news,0,NA\n")
    code, lines = run("--people", "p.csv")
    assert (code, len(lines)) == (2, 1)
    assert "line 3: expected a participant, got a blank cell" in lines[0]


WRONG_PEOPLE = {
    "unknown clips": (WHO + "P99,Ann,a\n", "a clip of the table, got none: P99"),
    "no participant": ("clip,condition\nP01_news,a\n", "a column participant"),
    "no clip": ("participant,condition\nAnn,a\n", "a column clip"),
    "a clip with two people": (
        WHO + "P01_news,Ann,a\nP01_news,Ben,a\n",
        "one person for the clip of videos/P01_news.mp4, got Ann and Ben",
    ),
    "a face with two people": (
        "clip,face,participant\nP01_news,0,Ann\nP01_news,0,Ben\n",
        "one person for face 0",
    ),
    "a face that is none": (
        "clip,face,participant\nP01_news,left,Ann\n",
        "a whole number of a face",
    ),
    "half a face": ("clip,face,participant\nP01_news,0.5,Ann\n", "a whole number of a face"),
    "blank person": (WHO + "P01_news,,a\n", "a participant, got a blank cell"),
    "blank clip": (WHO + ",Ann,a\n", "a clip, got a blank cell"),
    "a column of the table": ("clip,participant,valence\nP01_news,Ann,1\n", "a column valence"),
    "a column event": ("clip,participant,event\nP01_news,Ann,1\n", "a column event"),
    "a column twice": ("clip,participant,age,age\nP01_news,Ann,1,2\n", "age twice"),
    "a column without a name": ("clip,participant,,age\nP01_news,Ann,1,2\n", "a blank one"),
    "empty": ("", "an empty file"),
    "header alone": (WHO, "at least one person, got a header alone"),
    "a folder": (WHO + "videos,Ann,a\n", "a clip of the table"),
}


@pytest.mark.parametrize("case", WRONG_PEOPLE)
def test_wrong_people_are_one_line_that_says_what_to_do(run, tmp_path, case):
    content, message = WRONG_PEOPLE[case]
    (tmp_path / "p.csv").write_text(content)
    code, lines = run("--people", "p.csv")
    assert code == 2
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert re.search("expected .*, got ", lines[0])


DOUBTFUL_PEOPLE = {
    "twice": (WHO + "P01_news,Ann,a\nP01_news,Ann,a\n", "a row twice; it counts once"),
    "some clips unknown": (WHO + "P01_news,Ann,a\nP99,Ben,a\n", "no such clip in the table: P99"),
    "people alike": (WHO + "P01_news,p1,a\nP02_news,P1,a\n", "or spaces: p1 and P1; they count"),
    "groups alike": (
        WHO + "P01_news,A,a b\nP02_news,B,A  B\n",
        "condition: alike but for capitals",
    ),
    "some faces nameless": (WHO + "P01_news,Ann,a\n", "faces without a participant"),
}


@pytest.mark.parametrize("case", DOUBTFUL_PEOPLE)
def test_doubtful_people_are_used_and_warned_of(run, tmp_path, case):
    content, message = DOUBTFUL_PEOPLE[case]
    (tmp_path / "p.csv").write_text(content)
    code, lines = run("--people", "p.csv")
    assert code == 0
    assert any(message in line for line in lines)
    assert all(line.startswith("triaffect: warning: ") for line in lines)


def test_missing_files_and_columns_of_the_table_are_named(run):
    for arguments, message in [
        (["--people", "none.csv"], "none.csv: expected a file that can be read, got No such file"),
        (["--events", "none.eaf"], "none.eaf: expected an ELAN file"),
        (["--people", "people.csv", "--by", "sex"], "--by: expected a column of the people"),
        (["--events", "events.csv", "--baseline", "x"], "with the events rest, joke"),
        (["--baseline", "rest"], "without --events"),
        (["--events", "events.csv", "--event-length", "long"], "--event-length: expected a time"),
        (["--people", "people.csv", "--decimal-comma", "-o", "o.sav"], "a .csv for decimal commas"),
    ]:
        code, lines = run(*arguments)
        assert (code, len(lines)) == (2, 1), lines
        assert message in lines[0]


def test_a_table_that_is_none_is_refused(run, tmp_path):
    (tmp_path / "study.csv").write_text("clip,time_s\na,1\n")
    assert "a prediction table, got none named face_id" in run()[1][0]
    (tmp_path / "study.csv").write_bytes(b"\x00\xff" * 50)
    code, lines = run()
    assert (code, len(lines)) == (2, 1)

"""Events as other programs write them, and written back for them."""

import sys

import pytest
from pympi.Elan import Eaf

from tests.studies.made_study import write_study
from triaffect.cli.app import main
from triaffect.errors import TableError
from triaffect.studies.event_files import read_events
from triaffect.studies.sheets import ClipNames


def plain(path):
    return [(e.clip, e.start_s, e.end_s, e.name) for e in read_events(path)[0]]


def write(path, text):
    path.write_text(text, "utf-8")
    return path


def test_elan_tiers_are_events_of_the_linked_clip(tmp_path):
    file = Eaf(author="x")
    file.remove_tier("default")
    file.add_linked_file("file:///C:/data/P01.mp4", relpath="./P01.mp4", mimetype="video/mp4")
    file.add_tier("question")
    file.add_annotation("question", 1500, 4250, "Q1")
    file.add_annotation("question", 5000, 6000, "")
    file.to_file(str(tmp_path / "a.eaf"))
    assert plain(tmp_path / "a.eaf") == [
        ("P01.mp4", 1.5, 4.25, "Q1"),
        ("P01.mp4", 5.0, 6.0, "question"),
    ]


@pytest.mark.parametrize("text", ["", "no xml", "<ANNOTATION_DOCUMENT/>", "<a><b></a>"])
def test_a_broken_elan_file_is_named(tmp_path, text):
    with pytest.raises(TableError, match=r"an ELAN file, got .*; open it in ELAN"):
        read_events(write(tmp_path / "a.eaf", text))


def test_an_elan_file_without_annotations_is_named(tmp_path):
    Eaf(author="x").to_file(str(tmp_path / "a.eaf"))
    with pytest.raises(TableError, match="an annotation on a tier, got none"):
        read_events(tmp_path / "a.eaf")


BORIS_TABULAR = """Observation id,Observation date,Media duration (s),FPS,Subject,Behavior,\
Behavioral category,Behavior type,Time,Media file name,Comment
obs,2026-01-01,60,25,Ann,laugh,,START,1.5,videos/P01.mp4,
obs,2026-01-01,60,25,Ben,laugh,,START,2.0,videos/P01.mp4,
obs,2026-01-01,60,25,Ann,laugh,,STOP,3.5,videos/P01.mp4,
obs,2026-01-01,60,25,Ann,nod,,POINT,4.0,videos/P01.mp4,
obs,2026-01-01,60,25,Ben,laugh,,STOP,5.0,videos/P01.mp4,
"""


def test_boris_starts_and_stops_are_paired_by_subject(tmp_path):
    path = write(tmp_path / "b.csv", BORIS_TABULAR)
    assert plain(path) == [
        ("videos/P01.mp4", 1.5, 3.5, "laugh"),
        ("videos/P01.mp4", 4.0, None, "nod"),
        ("videos/P01.mp4", 2.0, 5.0, "laugh"),
    ]


def test_boris_of_old_has_lines_before_the_header(tmp_path):
    text = (
        "Observation id\tobs\n\nMedia file(s)\nPlayer #1\tP01.mp4\n\n"
        "Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tComment\tStatus\n"
        "1.5\t1:/data/P01.mp4\t60\t25\tAnn\tlaugh\t\tSTART\n"
        "2.5\t1:/data/P01.mp4\t60\t25\tAnn\tlaugh\t\tSTOP\n"
    )
    assert plain(write(tmp_path / "b.tsv", text)) == [("/data/P01.mp4", 1.5, 2.5, "laugh")]


def test_boris_aggregated_events_are_read(tmp_path):
    text = (
        "Observation id,Media file name,Subject,Behavior,Behavior type,Start (s),Stop (s),"
        "Duration (s)\nobs,P01.mp4,Ann,laugh,STATE,1.5,2.5,1\nobs,P01.mp4,Ann,nod,POINT,3,3,0\n"
    )
    events = plain(write(tmp_path / "b.csv", text))
    assert events == [("P01.mp4", 1.5, 2.5, "laugh"), ("P01.mp4", 3.0, 3.0, "nod")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("Ann,laugh,START,1\n", "a STOP of laugh, got none after its START"),
        ("Ann,laugh,STOP,1\n", "START, STOP or POINT in turn, got 'STOP'"),
        ("Ann,laugh,START,1\nAnn,laugh,START,2\n", "in turn, got 'START'"),
    ],
)
def test_boris_events_without_their_other_half_are_named(tmp_path, rows, message):
    path = write(tmp_path / "b.csv", "Subject,Behavior,Behavior type,Time\n" + rows)
    with pytest.raises(TableError, match=message):
        read_events(path)


def test_psychopy_components_are_events(tmp_path):
    text = (
        "trials.thisN,movie.started,movie.stopped,key.started,key.stopped,participant\n"
        ",,,,,P01\n0,1.5,4.5,3.0,None,P01\n1,6.5,9.5,,,P01\n"
    )
    assert plain(write(tmp_path / "P01.csv", text)) == [
        ("P01", 1.5, 4.5, "movie"),
        ("P01", 3.0, None, "key"),
        ("P01", 6.5, 9.5, "movie"),
    ]


@pytest.mark.parametrize("decimal", [".", ","])
def test_audacity_labels_are_events_of_the_file_of_their_name(tmp_path, decimal):
    text = "1.5\t2.5\tlaugh\n\\\t100.0\t200.0\n3.0\t3.0\tpoint\n".replace(".", decimal)
    assert plain(write(tmp_path / "P01.txt", text)) == [
        ("P01", 1.5, 2.5, "laugh"),
        ("P01", 3.0, 3.0, "point"),
    ]


def test_clips_are_matched_by_path_end_of_path_name_and_stem():
    names = ClipNames(["a/x/P01.mp4", "a/y/P01.mp4", "a/y/P02.mp4"])
    assert names.match("a/x/P01.mp4", "") == "a/x/P01.mp4"
    assert names.match("x\\p01.MP4", "") == "a/x/P01.mp4"
    assert names.match("C:/other/P02.mp4", "") == "a/y/P02.mp4"
    assert names.match("p02", "") == "a/y/P02.mp4"
    assert names.match("P03", "") is None
    with pytest.raises(TableError, match=r"one clip named P01, got 2: .*; write more of its path"):
        names.match("P01", "e.csv")


@pytest.fixture
def export(monkeypatch, capsys, tmp_path):
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        line = ["triaffect", "export-events", "study.csv", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as done:
            main()
        return done.value.code or 0, capsys.readouterr()

    return call


def test_smiles_come_back_from_a_boris_file(export, tmp_path):
    code, out = export("--people", "people.csv", "-o", "smiles.csv")
    assert code == 0
    assert "3 episodes" in out.out
    assert plain(tmp_path / "smiles.csv") == [
        (f"videos/P0{n}_comedy.mp4", 2.0, 3.0 + n, "smile") for n in (1, 2, 3)
    ]
    assert (
        "P02_comedy,videos/P02_comedy.mp4,P02,smile,triaffect,STATE,2.000,5.000,3.000"
        in (tmp_path / "smiles.csv").read_text()
    )


def test_smiles_come_back_from_elan_files_a_clip_each(export, tmp_path):
    assert export("-o", "out.eaf")[0] == 0
    assert len(list(tmp_path.glob("out.*.eaf"))) == 6
    assert plain(tmp_path / "out.P03_comedy.eaf") == [("P03_comedy.mp4", 2.0, 6.0, "smile")]
    assert not list(tmp_path.glob("*.bak"))


def test_subtitles_say_who_smiles_when(export, tmp_path):
    assert export("-o", "out.srt", "--signs", "smile,neutral")[0] == 0
    assert (tmp_path / "out.P01_comedy.srt").read_text().splitlines()[:7] == [
        *("1", "00:00:00,000 --> 00:00:02,000", "neutral", ""),
        *("2", "00:00:02,000 --> 00:00:04,000", "neutral, smile"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out.txt"], "out.txt: expected an output ending in .eaf, .srt, .csv, got '.txt'"),
        (["-o", "out.srt", "--signs", "laugh"], "--signs: expected signs of smile, frown"),
    ],
)
def test_wrong_outputs_and_signs_are_named(export, arguments, message):
    code, out = export(*arguments)
    assert code == 2
    assert message in out.err

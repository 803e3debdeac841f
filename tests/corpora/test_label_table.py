"""A table of labels for one's own media."""

import cv2
import numpy as np
import pytest

from tests.features.made_corpus import write_sound
from triaffect.corpora.base import open_corpus
from triaffect.corpora.label_table import LabelTable
from triaffect.errors import AnnotationError, TableError
from triaffect.media.writer import write_video
from triaffect.types import Moments, SourceKind


def table(folder, *lines, name="labels.csv"):
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(corpus, clip):
    (source,) = [s for s in corpus.sources() if s.source_id == f"table/{clip}"]
    return corpus.moments(source).table.to_pandas()


def test_labels_of_any_task(tmp_path):
    table(
        tmp_path,
        "clip,frame,valence,arousal,expression,AU1,AU2",
        "b.mp4,30,0.5,,,,",
        "b.mp4,0,,,happiness,,",
        "b.mp4,15,,,3,1,0",
        "b.mp4,16,,,,,",
        "a/c.wav,60,-0.5,0.5,,,",
    )
    corpus = open_corpus(tmp_path)
    assert corpus.name == "table"
    write_video(tmp_path / "b.mp4", [np.zeros((32, 32, 3), np.uint8)] * 40, 25)
    b = rows(corpus, "b.mp4")
    assert b["label_set"].tolist() == ["VA", "EXPR", "MTL"]
    assert b["frame"].tolist() == [30, 0, 15]
    assert np.allclose(b["time_s"], [30 / 25, 0, 15 / 25])
    assert b["valence"].fillna(9).tolist() == [0.5, 9, 9]
    assert b["p_happiness"].fillna(9).tolist() == [9, 1, 0]
    assert b["p_fear"].fillna(9).tolist() == [9, 0, 1]
    assert b["AU1"].fillna(9).tolist() == [9, 9, 1]
    assert set(b["track"]) == {0}
    assert set(b["split"]) == {"train"}
    assert set(b["person"]) == {"table/b.mp4"}
    assert rows(corpus, "a/c.wav")["time_s"].tolist() == [2.0]


def test_optional_columns(tmp_path):
    path = table(
        tmp_path,
        "clip,frame,face_id,time_s,split,person,valence,arousal,box_x",
        "a.wav,0,2,0.25,test,Ann,0,0,17",
        "a.wav,1,,0.5,Validation,,0,0,",
        name="mine.csv",
    )
    a = rows(open_corpus(path), "a.wav")
    assert a["track"].tolist() == [2, -1]
    assert a["time_s"].tolist() == [0.25, 0.5]
    assert a["split"].tolist() == ["test", "validation"]
    assert a["person"].tolist() == ["Ann", "table/a.wav"]


def test_kinds_of_clip(tmp_path):
    path = table(tmp_path, "clip,frame,AU1", "c.PNG,0,1", "a.mp4,0,1", "b.flac,0,1")
    cv2.imwrite(str(tmp_path / "c.PNG"), np.full((8, 8, 3), (0, 0, 250), np.uint8))
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b.flac").touch()
    corpus = LabelTable(path)
    video, sound, image = corpus.sources()
    assert (video.kind, video.video, video.sound) == (
        SourceKind.VIDEO,
        tmp_path / "a.mp4",
        tmp_path / "a.mp4",
    )
    assert (sound.kind, sound.sound) == (SourceKind.SOUND, tmp_path / "b.flac")
    assert image.kind == SourceKind.IMAGES
    ((frame, rgb),) = corpus.images(image)
    assert frame == 0
    assert rgb[0, 0].tolist() == [250, 0, 0]
    assert list(corpus.images(sound)) == []
    assert list(corpus.images(video)) == []


def test_a_clip_that_is_not_there_is_named_with_its_row(tmp_path):
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk" / "anna.mp4").write_bytes(b"no video")
    path = table(
        tmp_path, "clip,frame,AU1", "talk/anna.mp4,0,1", ",,", "tlak/anna.mp4,0,",
        "tlak/anna.mp4,0,1", "c.wav,3,1", "Talk/Anna.MP4,0,1",
    )  # fmt: skip
    corpus = open_corpus(tmp_path)
    typo, sound, capitals = (
        f"{path}, row {row}, column clip: expected a file in {tmp_path}, got {clip!r}; {remedy}"
        for row, clip, remedy in (
            (3, "tlak/anna.mp4", "did you mean talk/anna.mp4?"),
            (5, "c.wav", "check the path"),
            (6, "Talk/Anna.MP4", "did you mean talk/anna.mp4?"),
        )
    )
    assert [str(problem) for problem in corpus.problems()] == [typo, sound, capitals]
    sources = {source.source_id: source for source in corpus.sources()}
    for ask in (corpus.moments, corpus.clock, corpus.frame_rate):
        with pytest.raises(AnnotationError) as error:
            ask(sources["table/tlak/anna.mp4"])
        assert str(error.value) == typo, "once in the list of what is wrong"
    with pytest.raises(AnnotationError, match=r"row 5, column clip.*got 'c\.wav'"):
        corpus.frame_rate(sources["table/c.wav"])
    assert rows(corpus, "c.wav")["time_s"].tolist() == [0.1]
    (tmp_path / "b.mp4").touch()
    whole = table(tmp_path, "clip,frame,AU1", "b.mp4,0,1", name="whole.csv")
    assert LabelTable(whole).problems() == []


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["frame,AU1", "0,1"], "none named clip"),
        (["clip,frame,mood", "a.mp4,1,2"], "valence"),
        (["clip,frame,AU1", "a.mp4,0,"], "a label in at least one of"),
        (["clip,frame,AU1", "a.mp4,0,1", "a.mp4,one,1"], "row 2, column frame.*'one'"),
        (["clip,frame,AU1", "a.mp4,-1,1"], "row 1, column frame.*'-1'"),
        (["clip,time_s,AU1", "a.mp4,-0.5,1"], "row 1, column time_s: .* from 0, got '-0.5'"),
        (["clip,time_s,AU1", "a.mp4,inf,1"], "row 1, column time_s: .*infinity"),
        (["clip,time_s,AU1", "a.mp4,1_0,1"], "row 1, column time_s: .*'1_0'"),
        (["clip,frame,AU1", "a.mp4,3000000000,1"], "row 1, column frame.*'3000000000'"),
        (["clip,frame,AU1", "a.jpg,3,1"], "row 1, column frame: expected 0 or blank for a picture"),
        (["clip,time_s,AU1", "a.jpg,0.1,1"], "row 1, column time_s: .* picture, got 0.1"),
        (["clip,frame,Valence,arousal", "a.mp4,0,1,1"], "column named valence, got 'Valence'"),
        (["clip,frame, valence,arousal", "a.mp4,0,1,1"], "column named valence, got ' valence'"),
        (["clip,frame,AU 1", "a.mp4,0,1"], "column named AU1, got 'AU 1'"),
        (["clip,frame,AU1,face_ id", "a.mp4,0,1,0"], "column named face_id, got 'face_ id'"),
        (
            ["clip,frame,valence,arousal", 'a.mp4,0,"0,5",0'],
            "column valence: .* decimal point.*'0,5'",
        ),
        (["clip,frame,AU1,AU1", "a.mp4,0,1,1"], "AU1 twice"),
        (["clip,frame,AU1", 'a.mp4,0,"1'], "unexpected end of data"),
        (["clip,frame,AU1", "a\0.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", "x" * 300 + ".mp4,0,1"], "row 1, column clip.*inside"),
        (["clip;frame;valence", "a.mp4;0;0,3,1"], "row 1, column valence.*'0,3,1'"),
        (["clip,frame,face_id,AU1", "a.mp4,0,1.5,1"], "row 1, column face_id.*'1.5'"),
        (["clip,frame,valence,arousal", "a.mp4,0,sad,0"], "row 1, column valence.*'sad'"),
        (["clip,frame,valence,arousal", "a.mp4,0,2,0"], "row 1, column valence.*2"),
        (["clip,person,arousal", "a.wav,Ann,3"], "row 1, column arousal: .* -1 to 1, got 3"),
        (["clip,frame,expression", "a.mp4,0,9"], "row 1, column expression.*'9'"),
        (["clip,frame,expression", "a.mp4,0,hapiness"], "happiness"),
        (["clip,frame,AU1,split", "a.mp4,0,1,dev"], "row 1, column split.*'dev'"),
        (["clip,frame,AU1", "../a.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", "b/../../a.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", "/a.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", "..\\a.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", "C:\\a.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", ",0,1"], "row 1, column clip"),
        (["clip,frame,AU1", "a.mp4,0,1", "a.mp4,0,1,2,3"], "row 2: expected 3 cells, got 5"),
        (["clip,frame,AU1", "a.mp4,0,1,1", "a.mp4,1,1,1"], "row 1: expected 3 cells, got 4"),
        ([""], "CSV table"),
    ],
)
def test_mistakes(tmp_path, lines, message):
    path = table(tmp_path, *lines)
    with pytest.raises(TableError, match=f"(?s){message}") as error:
        open_corpus(tmp_path)
    assert error.value.where.startswith(str(path))


def test_a_row_that_ends_early_is_blank_from_there(tmp_path):
    table(tmp_path, "clip,frame,AU1,AU2,split,person", "a.wav,0,1", "a.wav,1,,,test,Ann")
    a = rows(open_corpus(tmp_path), "a.wav")
    assert a["frame"].tolist() == [0]
    assert a["split"].tolist() == ["train"]


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"clip,frame,AU1\na\xff.mp4,0,1\n")
    with pytest.raises(TableError, match="UTF-8"):
        open_corpus(tmp_path)


def table_of(path):
    corpus = LabelTable(path)
    return Moments.concat([corpus.moments(source) for source in corpus.sources()]).table


PLAIN = 'clip,time_s,person,valence,AU4\n"a, b.wav",0.5,Änne,0.25,1\nc.wav,1.25,,-1,\n'


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.rstrip("\n").encode(),
        (PLAIN + "\n,,,,\n").encode(),
        PLAIN.replace("\n", ",,\n").encode(),
        PLAIN.replace("time_s", "note,time_s").replace('wav",', 'wav","line 1\nline 2",').replace(
            "c.wav,", "c.wav,,").encode(),
        b"clip;time_s;person;valence;AU4\na, b.wav;0,5;\xc3\x84nne;,25;1\nc.wav;+1,25;;-1,0;\n",
        PLAIN.replace('"', "").replace(", b", "^").replace(",", "\t").replace("^", ", b").encode(),
    ],
)  # fmt: skip
def test_what_spreadsheets_write(tmp_path, content):
    (tmp_path / "plain.csv").write_bytes(PLAIN.encode())
    (tmp_path / "written.csv").write_bytes(content)
    for clip in ("a, b.wav", "c.wav"):
        write_sound(tmp_path / clip, 2)
    plain = table_of(tmp_path / "plain.csv")
    assert plain["person"].to_pylist() == ["Änne", "table/c.wav"]
    assert plain["valence"].to_pylist() == [0.25, -1]
    assert plain["frame"].to_pylist() == [15, 38]
    assert table_of(tmp_path / "written.csv") == plain


def test_blank_rows_count_in_messages(tmp_path):
    table(tmp_path, "clip,frame,AU1", "a.wav,0,1", "", ",,", "a.wav,x,1")
    with pytest.raises(TableError, match="row 4, column frame"):
        open_corpus(tmp_path)


def test_a_picture_needs_no_place(tmp_path):
    table(tmp_path, "clip,expression", "a.jpg,fear", "b.jpg,anger")
    labels = table_of(tmp_path)
    assert labels["frame"].to_pylist() == [0, 0]
    assert labels["time_s"].to_pylist() == [0, 0]


SHARES = "clip,p_neutral,p_anger,p_disgust,p_fear,p_happiness,p_sadness,p_surprise,p_other"


@pytest.mark.parametrize(
    ("cells", "shares"),
    [
        ("0.5,0.5,0,0,0,0,0,0", [0.5, 0.5, 0, 0, 0, 0, 0, 0]),
        ("0.334,0.333,0.333,0,0,0,0,0", [0.334, 0.333, 0.333, 0, 0, 0, 0, 0]),
        ("0,0,0,0,1,0,0,0", [0, 0, 0, 0, 1, 0, 0, 0]),
        ("7,0,0,1,2,0,0,0", [0.7, 0, 0, 0.1, 0.2, 0, 0, 0]),
        ("1,1,0,0,0,0,0,0", [0.5, 0.5, 0, 0, 0, 0, 0, 0]),
        (",,,,,,,", [None] * 8),
    ],
)
def test_shares_and_votes(tmp_path, cells, shares):
    table(tmp_path, SHARES + ",AU1", f"a.jpg,{cells},1")
    (row,) = table_of(tmp_path).select(SHARES.split(",")[1:]).to_pylist()
    expected = [None if x is None else pytest.approx(x) for x in shares]
    assert list(row.values()) == expected


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("0,0,0,0,0,0,0,0", "row 2, column p_neutral: expected .* add up to 1, got 0"),
        ("0.2,0.2,0,0,0,0,0,0", "row 2, column p_neutral: .* got 0.4"),
        ("0.5,1.5,0,0,0,0,0,0", "row 2, column p_anger: .* 0 to 1, got 1.5"),
        ("3,-1,0,0,0,0,0,0", "row 2, column p_neutral: .* got 3"),
        ("1,0,-0.5,0.5,0,0,0,0", "row 2, column p_disgust: .* got -0.5"),
        ("1,0,0,0,0,0,,0", "row 2, column p_surprise: .* a blank cell"),
        ("1,0,0,x,0,0,0,0", "row 2, column p_fear: .*'x'"),
    ],
)
def test_wrong_shares(tmp_path, cells, message):
    table(tmp_path, SHARES, "a.jpg,1,0,0,0,0,0,0,0", f"a.jpg,{cells}")
    with pytest.raises(TableError, match=message):
        LabelTable(tmp_path)


def test_some_columns_of_shares_only(tmp_path):
    table(tmp_path, "clip,p_anger,p_fear,AU1", "a.jpg,0.5,0.5,1")
    with pytest.raises(TableError, match="none named p_neutral"):
        LabelTable(tmp_path)


def test_an_expression_column_alone_counts(tmp_path):
    """A corrected prediction table: a blanked expression is none, whatever was predicted."""
    table(tmp_path, SHARES + ",expression", "a.jpg,1,0,0,0,0,0,0,0,fear", "b.jpg,1,0,0,0,0,0,0,0,")
    labels = table_of(tmp_path)
    assert labels["source"].to_pylist() == ["table/a.jpg"]
    assert labels["p_fear"].to_pylist() == [1]


def test_rows_of_one_moment_may_add_to_each_other_but_not_contradict(tmp_path):
    write_video(tmp_path / "a.mp4", [np.full((48, 64, 3), 90, np.uint8)] * 20, 10.0)
    table = tmp_path / "labels.csv"
    table.write_text("clip,time_s,valence,expression\na.mp4,0.5,0.2,\na.mp4,0.5,,anger\n")
    corpus = LabelTable(table)
    assert len(corpus.moments(corpus.sources()[0])) == 2
    table.write_text("clip,time_s,valence\na.mp4,0.5,0.2\na.mp4,0.7,0.2\na.mp4,0.5,0.9\n")
    corpus = LabelTable(table)
    with pytest.raises(TableError, match=r"row 3.*another one than in row 1"):
        corpus.moments(corpus.sources()[0])


def test_columns_that_nobody_reads_are_known(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("clip;time_s;emotion;AU01;valence;box_x\na.wav;0,5;anger;1;0,2;3\n")
    assert LabelTable(table).passed_over == ["emotion", "AU01"]

"""A table of labels for one's own media."""

import cv2
import numpy as np
import pytest

from triaffect.corpora.corpus import open_corpus
from triaffect.corpora.table import LabelTable
from triaffect.errors import MediaError, TableError
from triaffect.media.write import write_video
from triaffect.types import SourceKind


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
    write_video(tmp_path / "b.mp4", [np.zeros((32, 32, 3), np.uint8)] * 4, 25)
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
    assert list(corpus.images(video)) == []


def test_a_clip_that_is_not_there(tmp_path):
    table(tmp_path, "clip,frame,AU1", "a.mp4,0,1")
    with pytest.raises(MediaError, match=r"a\.mp4"):
        rows(open_corpus(tmp_path), "a.mp4")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["clip,AU1", "a.mp4,1"], "none named frame"),
        (["clip,frame,mood", "a.mp4,1,2"], "valence"),
        (["clip,frame,AU1", "a.mp4,0,"], "a label in at least one of"),
        (["clip,frame,AU1", "a.mp4,0,1", "a.mp4,one,1"], "row 2, column frame.*'one'"),
        (["clip,frame,AU1", "a.mp4,-1,1"], "row 1, column frame.*'-1'"),
        (["clip,frame,AU1", "a.mp4,,1"], "row 1, column frame.*''"),
        (["clip,frame,face_id,AU1", "a.mp4,0,1.5,1"], "row 1, column face_id.*'1.5'"),
        (["clip,frame,valence,arousal", "a.mp4,0,sad,0"], "row 1, column valence.*'sad'"),
        (["clip,frame,valence,arousal", "a.mp4,0,2,0"], "row 1, column valence.*2"),
        (["clip,frame,expression", "a.mp4,0,9"], "row 1, column expression.*'9'"),
        (["clip,frame,expression", "a.mp4,0,hapiness"], "happiness"),
        (["clip,frame,AU1,split", "a.mp4,0,1,dev"], "row 1, column split.*'dev'"),
        (["clip,frame,AU1", "../a.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", "b/../../a.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", "/a.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", "..\\a.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", "C:\\a.mp4,0,1"], "row 1, column clip.*inside"),
        (["clip,frame,AU1", ",0,1"], "row 1, column clip"),
        (["clip,frame,AU1", "a.mp4,0,1", "a.mp4,0,1,2,3"], "line 3"),
        (["clip,frame,AU1", "a.mp4,0,1,1", "a.mp4,1,1,1"], "as many cells"),
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

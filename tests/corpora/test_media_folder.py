"""A folder of media that nobody has labelled."""

import os
import sys

import cv2
import numpy as np
import pytest

from tests.features.made_corpus import write_sound
from triaffect.corpora.base import open_corpus
from triaffect.corpora.media_folder import MediaFolder
from triaffect.errors import AnnotationError, MediaError
from triaffect.media.writer import write_video
from triaffect.tasks.registry import TASKS
from triaffect.types import SourceKind


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "mine"
    (root / "inner").mkdir(parents=True)
    write_video(root / "inner" / "a.MP4", [np.zeros((32, 32, 3), np.uint8)] * 5, 25)
    write_sound(root / "b.wav", 0.5)
    cv2.imwrite(str(root / "c.png"), np.full((20, 30, 3), 7, np.uint8))
    (root / "notes.txt").write_text("of no matter")
    (root / "._c.png").write_bytes(b"what another system leaves")
    (root / ".trash").mkdir()
    (root / ".trash" / "d.wav").touch()
    return root


def test_each_file_is_a_source_without_labels(folder):
    corpus = open_corpus(folder)
    assert isinstance(corpus, MediaFolder)
    sources = corpus.sources()
    assert [(s.source_id, s.kind) for s in sources] == [
        ("media/b.wav", SourceKind.SOUND),
        ("media/c.png", SourceKind.IMAGES),
        ("media/inner/a.MP4", SourceKind.VIDEO),
    ]
    columns = {column for task in TASKS for column in task.columns}
    for source in sources:
        moments = corpus.moments(source)
        assert len(moments) == 0
        assert columns <= set(moments.table.column_names)
    sound, picture, video = sources
    assert [corpus.frame_rate(source) for source in sources] == [30, 30, 25]
    assert [len(list(corpus.images(source))) for source in sources] == [0, 1, 0]
    assert len(corpus.clock(video).times_s) == 5
    assert (sound.sound, picture.images) == (folder / "b.wav", folder / "c.png")
    assert corpus.problems() == []


def test_a_table_beside_media_is_no_folder_without_labels(folder):
    """Labels under a name that nobody expected must not be passed over in silence."""
    table = folder / "Annotations.CSV"
    table.write_text("clip,frame,valence\ninner/a.MP4,0,0.5\n")
    with pytest.raises(AnnotationError, match="a known form"):
        open_corpus(folder)
    assert len(open_corpus(table).sources()) == 1
    table = table.rename(folder / "labels.csv")
    assert open_corpus(folder).name == "table"
    for suffix in (".tsv", ".XLSX"):
        table = table.rename(table.with_suffix(suffix))
        with pytest.raises(AnnotationError, match="a known form"):
            open_corpus(folder)


@pytest.mark.parametrize("name", ["notes.txt", ".hidden.mp4"])
def test_a_folder_with_neither_labels_nor_media(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(AnnotationError, match="a known form"):
        open_corpus(tmp_path)


def test_a_single_video_is_no_corpus(folder):
    with pytest.raises(AnnotationError, match="a known form"):
        open_corpus(folder / "inner" / "a.MP4")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_names_that_are_none_elsewhere_are_told(folder):
    (folder / "two\nlines.mp4").touch()
    (folder / os.fsdecode(b"\xff.mp4")).touch()
    corpus = open_corpus(folder)
    assert len(corpus.sources()) == 3
    assert [str(problem).count("\n") for problem in corpus.problems()] == [0, 0]
    assert "two\\nlines.mp4" in str(corpus.problems()[0])
    str(corpus.problems()[1]).encode()


def test_a_broken_picture_is_named(folder):
    (folder / "c.png").write_bytes(b"no picture")
    corpus = open_corpus(folder)
    with pytest.raises(MediaError, match=r"c\.png"):
        list(corpus.images(corpus.sources()[1]))

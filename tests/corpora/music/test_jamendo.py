"""MTG-Jamendo's moods: published splits and their mistakes."""

import pickle

import pytest

from tests.corpora.music.made import JAMENDO_HEADER, jamendo, write
from triaffect.corpora.base import open_corpus
from triaffect.corpora.integrity import check_labels
from triaffect.errors import AnnotationError
from triaffect.tasks import registry
from triaffect.tasks.mood_tags import MOOD_TAGS, MOODS

TEST_FILE = "data/splits/split-0/autotagging_moodtheme-test.tsv"


@pytest.fixture(autouse=True)
def _tags_of_this_test_alone(monkeypatch):
    monkeypatch.setattr(registry, "_loaded", {})


def test_a_track_has_its_tags_and_no_others(tmp_path):
    corpus = open_corpus(jamendo(tmp_path))
    assert corpus.name == "mtg_jamendo"
    assert registry.task("TAGS") in registry.available_tasks()
    sources = corpus.sources()
    assert len(sources) == 9
    assert sources[0].source_id == "mtg_jamendo/00/1000"
    moments = corpus.moments(next(s for s in sources if s.source_id.endswith("/2001")))
    targets = moments.targets("TAGS", MOOD_TAGS.columns)
    assert targets.valid.all()
    assert [m for m, v in zip(MOODS, targets.values[0], strict=True) if v] == ["sad", "slow"]
    (row,) = moments.table.to_pylist()
    assert (row["split"], row["person"]) == ("validation", "mtg_jamendo/artist_000001")
    assert (row["label_set"], row["time_s"]) == ("TAGS", 0.0)
    assert corpus.problems() == []
    assert check_labels(corpus).errors == []
    assert pickle.loads(pickle.dumps(corpus)).moments(sources[0]).table == (
        corpus.moments(sources[0]).table
    )


def test_another_split_is_opened_by_its_folder_and_sounds_are_found(tmp_path):
    jamendo(tmp_path)
    jamendo(tmp_path, tracks=1, split="split-3")
    write(tmp_path / "audio" / "00" / "1000.mp3", "no sound")
    corpus = open_corpus(tmp_path / "data" / "splits" / "split-3")
    assert [source.source_id for source in corpus.sources()] == [
        f"mtg_jamendo/00/{number}" for number in (1000, 2000, 3000)
    ]
    for each in (corpus, open_corpus(tmp_path)):
        assert each.sources()[0].sound.resolve() == (tmp_path / "audio/00/1000.mp3").resolve()
        assert each.sources()[1].sound is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ARTIST_ID", "ARTIST", "none named ARTIST_ID"),
        (
            "theme---happy",
            "theme---hapy",
            "got 'mood/theme---hapy'; did you mean mood/theme---happy?",
        ),
        ("mood/theme---happy", "genre---rock", "test.tsv:2: expected mood/theme--- and one of 56"),
        ("\tmood/theme---happy", "", "test.tsv:2: expected six cells or more"),
        ("\tmood/theme---happy", "\t ", "test.tsv:2: expected one tag at least, got none"),
        ("200.5", "long", "expected a track's length in seconds, got 'long'"),
        ("00/3000.mp3", "../3000.mp3", "expected an artist and the path of a track"),
        ("00/3000.mp3", "00/2000.mp3", "got 00/2000 in validation too"),
        ("01/3001.mp3", "00/3000.mp3", "test.tsv:3: expected each track once, in one split"),
    ],
)
def test_what_is_wrong_with_a_split_file_is_named(tmp_path, old, new, message):
    path = jamendo(tmp_path) / TEST_FILE
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(AnnotationError) as error:
        open_corpus(tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_all_three_files_are_needed(tmp_path):
    jamendo(tmp_path)
    (tmp_path / TEST_FILE).unlink()
    with pytest.raises(AnnotationError, match=r"none named autotagging_moodtheme-test\.tsv"):
        open_corpus(tmp_path)
    write(tmp_path / TEST_FILE, "")
    with pytest.raises(AnnotationError, match="none named TRACK_ID"):
        open_corpus(tmp_path)
    write(tmp_path / TEST_FILE, JAMENDO_HEADER)
    assert len(open_corpus(tmp_path).sources()) == 6

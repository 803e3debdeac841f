"""DEAM, EmoMusic and PMEmo in the forms they are published and packed in."""

import numpy as np
import pytest

from tests.corpora.music.made import (
    PER_SECOND,
    SONG_LEVEL,
    deam,
    emomusic,
    packed,
    pmemo,
    write,
)
from triaffect.corpora.base import open_corpus
from triaffect.corpora.integrity import check_labels
from triaffect.corpora.music.ratings import RatedSongs
from triaffect.errors import AnnotationError, TableError
from triaffect.types import NO_FACE

VA = ("valence", "arousal")


def values(corpus, song):
    source = next(s for s in corpus.sources() if s.source_id == f"{corpus.name}/{song}")
    return corpus.moments(source).targets("VA", VA).values


def table_of(corpus):
    return [corpus.moments(source).table.to_pylist() for source in corpus.sources()]


def test_deam_is_two_tables_of_whole_songs_on_a_scale_from_1_to_9(tmp_path):
    rated = deam(tmp_path)
    corpus = open_corpus(tmp_path)
    assert corpus.name == "deam"
    ids = [source.source_id for source in corpus.sources()]
    assert ids == ["deam/2", "deam/2001", "deam/3", "deam/4"]
    for song, pair in rated.items():
        np.testing.assert_allclose(values(corpus, song), [(pair - 5) / 4], atol=1e-6)
    (row,) = table_of(corpus)[0]
    assert row["track"] == NO_FACE
    assert (row["time_s"], row["frame"], row["label_set"]) == (0.0, 0, "VA")
    assert (row["split"], row["person"]) == ("train", "mediaeval/2")
    sounds = [source.sound for source in corpus.sources()]
    assert sounds == [tmp_path / "DEAM_audio/MEMD_audio/2.mp3", None, None, None]
    assert corpus.problems() == []
    assert check_labels(corpus).errors == []


@pytest.mark.parametrize("path", [SONG_LEVEL, "DEAM_Annotations", "DEAM_Annotations/annotations"])
def test_deam_is_recognized_in_inner_folders_too(tmp_path, path):
    deam(tmp_path)
    assert open_corpus(tmp_path / path).name == "deam"


@pytest.mark.parametrize("path", [PER_SECOND, f"{PER_SECOND}/arousal.csv"])
def test_deams_half_seconds_are_a_corpus_of_their_own(tmp_path, path):
    deam(tmp_path)
    corpus = open_corpus(tmp_path / path)
    assert corpus.name == "deam_dynamic"
    rows = {each[0]["source"]: each for each in table_of(corpus)}
    assert [row["time_s"] for row in rows["deam_dynamic/3"]] == [15.0, 15.5, 16.0]
    assert [row["time_s"] for row in rows["deam_dynamic/2001"]] == [15.0, 15.5]  # it ends earlier
    assert [row["frame"] for row in rows["deam_dynamic/3"]] == [450, 465, 480]
    first = (tmp_path / PER_SECOND / "valence.csv").read_text().splitlines()[1].split(",")[1]
    assert rows["deam_dynamic/2"][0]["valence"] == pytest.approx(float(first))
    assert corpus.sources()[0].sound is not None


def test_emomusic_says_which_songs_were_for_evaluation(tmp_path):
    rated = emomusic(tmp_path)
    corpus = open_corpus(tmp_path)
    assert corpus.name == "emomusic"
    np.testing.assert_allclose(values(corpus, 3), [(rated[3] - 5) / 4], atol=1e-6)
    splits = {rows[0]["source"]: rows[0]["split"] for rows in table_of(corpus)}
    assert splits == {"emomusic/2": "train", "emomusic/3": "train", "emomusic/5": "test"}
    dynamic = open_corpus(tmp_path / "annotations" / "valence_cont_average.csv")
    assert dynamic.name == "emomusic_dynamic"
    assert [rows[0]["split"] for rows in table_of(dynamic)] == ["train", "train", "test"]
    assert [len(rows) for rows in table_of(dynamic)] == [3, 3, 2]


def test_pmemo_has_a_scale_from_0_to_1_and_half_seconds_in_any_order(tmp_path):
    rated = pmemo(tmp_path)
    corpus = open_corpus(tmp_path)
    assert corpus.name == "pmemo"
    np.testing.assert_allclose(values(corpus, 4), [2 * rated[4] - 1], atol=1e-6)
    dynamic = open_corpus(tmp_path / "annotations" / "dynamic_annotations.csv")
    assert dynamic.name == "pmemo_dynamic"
    rows = table_of(dynamic)[0]
    assert [row["time_s"] for row in rows] == [15.0, 15.5, 16.0]
    assert (rows[0]["valence"], rows[0]["arousal"]) == (0.5, -0.5)
    assert rows[0]["person"] == "pmemo/1"


@pytest.mark.parametrize("name", ["deam", "emomusic", "pmemo"])
def test_packed_folders_have_split_files_and_one_scale(tmp_path, name):
    rated = packed(tmp_path / name)
    corpus = open_corpus(tmp_path / name)
    assert corpus.name == name
    np.testing.assert_allclose(values(corpus, 1), [(rated[1] - 5) / 4], atol=1e-6)
    assert [rows[0]["split"] for rows in table_of(corpus)] == [
        *("train", "train", "validation", "test")
    ]
    assert corpus.problems() == []


def test_split_files_may_lie_beside_the_published_form(tmp_path):
    pmemo(tmp_path)
    for name, song in (("train", 1), ("val", 4), ("test", 5)):
        write(tmp_path / "split" / f"{name}.txt", f"{song}\n\n")
    rows = table_of(open_corpus(tmp_path))
    assert [each[0]["split"] for each in rows] == ["train", "validation", "test"]
    dynamic = open_corpus(tmp_path / "annotations" / "dynamic_annotations.csv")
    assert [each[0]["split"] for each in table_of(dynamic)] == ["train", "validation", "test"]


def test_a_song_in_no_split_file_is_left_out_and_said_so(tmp_path):
    packed(tmp_path / "deam")
    write(tmp_path / "deam" / "meta" / "split" / "train.txt", "1\n")
    corpus = open_corpus(tmp_path / "deam")
    assert [source.source_id for source in corpus.sources()] == ["deam/1", "deam/3", "deam/4"]
    assert "1 in none, such as 2" in str(corpus.problems()[0])


def test_one_song_in_both_corpora_has_one_name_that_splits_must_not_share(tmp_path):
    deam(tmp_path / "deam")
    emomusic(tmp_path / "emomusic")
    names = [table_of(open_corpus(tmp_path / c))[0][0]["person"] for c in ("deam", "emomusic")]
    assert names == ["mediaeval/2"] * 2


def bad(tmp_path, change, *, kind=packed, root="deam"):
    """The error of opening a made corpus after a change to one of its files."""
    kind(tmp_path / root)
    change(tmp_path / root)
    with pytest.raises((AnnotationError, TableError)) as error:
        open_corpus(tmp_path / root)
    assert "\n" not in str(error.value)
    return str(error.value)


def edit(path, old, new):
    def change(root):
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new, 1))

    return change


def put(path, row, column, value):
    """Set a cell, rows counted from 1 after the header."""

    def change(root):
        lines = [line.split(",") for line in (root / path).read_text().splitlines()]
        lines[row][column] = value
        (root / path).write_text("\n".join(map(",".join, lines)) + "\n")

    return change


STATIC, SPLIT = "meta/static_annotations.csv", "meta/split"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit(STATIC, "arousal_mean", "arousal"), "none named arousal_mean"),
        (edit(STATIC, "song_id", "song"), "none named song_id"),
        (put(STATIC, 2, 1, "11"), "row 2, column valence_mean: expected a number from 1"),
        (edit(STATIC, "\n2,", "\nx,"), "row 2, column song_id: expected a number, got 'x'"),
        (edit(STATIC, "\n2,", "\n2.5,"), "column song_id: expected a song's number, got 2.5"),
        (edit(STATIC, "\n2,", "\n1,"), "expected each song once, got song 1 twice"),
        (put(STATIC, 2, 1, ""), "column valence_mean: expected a rating, got a blank"),
        (
            edit(f"{SPLIT}/val.txt", "3", "9"),
            "val.txt:1: expected a song that has ratings, got '9'",
        ),
        (edit(f"{SPLIT}/test.txt", "4", "3"), "got song 3 in validation and test; name it once"),
        (
            lambda root: (root / SPLIT / "val.txt").unlink(),
            "val.txt: expected a text file of songs",
        ),
        (
            lambda root: (root / STATIC).write_bytes(b"\xff\xfe\x00"),
            "expected a CSV table in UTF-8",
        ),
    ],
)
def test_what_is_wrong_with_a_packed_folder_is_named(tmp_path, change, message):
    assert message in bad(tmp_path, change)


def test_a_packed_folder_is_called_after_its_corpus(tmp_path):
    message = bad(tmp_path, lambda root: None, root="songs")
    assert "expected a folder named deam, emomusic, pmemo, got one named songs; rename" in message


def test_what_is_wrong_with_published_forms_is_named(tmp_path):
    emo = {"kind": emomusic, "root": "emo"}
    info = "annotations/songs_info.csv"
    message = bad(tmp_path / "1", edit(info, "evaluation\n", "later\n"), **emo)
    assert (
        "expected Mediaeval 2013 set development or evaluation, got 'later' for song 5" in message
    )
    message = bad(tmp_path / "2", edit(info, "\n5,", "\n6,"), **emo)
    assert "no row for song 5" in message
    static = "annotations/static_annotations.csv"
    message = bad(tmp_path / "3", edit(static, "mean_valence", "valence"), **emo)
    assert "none named mean_valence" in message
    message = bad(tmp_path / "4", put(static, 2, 1, "1.5"), kind=pmemo, root="p")
    assert "column Arousal(mean): expected a number from 0 to 1" in message
    early = f"{SONG_LEVEL}/static_annotations_averaged_songs_1_2000.csv"
    message = bad(tmp_path / "5", edit(early, "\n2,", "\n2001,"), kind=deam, root="d")
    assert "song 2001 in two" in message


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("arousal.csv", "\n3,", "\n7,", "expected the songs and moments of valence.csv, got 3"),
        ("arousal.csv", "16000", "16500", "got sample_16000ms in one of the two"),
        ("valence.csv", "\n3,", "\n3,-", "column sample_15000ms: expected a number"),
        ("valence.csv", "\n2,0", "\n2,3", "expected a number from -1 to 1"),
    ],
)
def test_what_is_wrong_with_tables_of_half_seconds_is_named(tmp_path, path, old, new, message):
    deam(tmp_path)
    edit(path, old, new)(tmp_path / PER_SECOND)
    with pytest.raises(TableError) as error:
        open_corpus(tmp_path / PER_SECOND)
    assert message in str(error.value)


def test_half_seconds_need_both_tables_and_columns_of_moments(tmp_path):
    deam(tmp_path)
    emomusic(tmp_path / "emo")
    annotations = tmp_path / "emo" / "annotations"
    (annotations / "arousal_cont_average.csv").unlink()
    with pytest.raises(TableError, match=r"arousal_cont_average.csv: expected a CSV table"):
        open_corpus(annotations / "valence_cont_average.csv")
    write(tmp_path / PER_SECOND / "valence.csv", "song_id,a,b\n2,0,0\n")
    with pytest.raises(TableError, match="columns such as sample_15000ms, got song_id, a, b"):
        open_corpus(tmp_path / PER_SECOND)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1,15.5", "1,15.0", "got song 1 twice at 15 s"),
        ("1,15.5", "1,", "column frameTime: expected seconds, got a blank cell"),
        ("frameTime", "time", "none named frameTime"),
    ],
)
def test_what_is_wrong_with_pmemos_half_seconds_is_named(tmp_path, old, new, message):
    pmemo(tmp_path)
    edit("annotations/dynamic_annotations.csv", old, new)(tmp_path)
    with pytest.raises(TableError) as error:
        open_corpus(tmp_path / "annotations" / "dynamic_annotations.csv")
    assert message in str(error.value)


def test_the_table_computed_from_the_ratings_is_refused_by_name(tmp_path):
    packed(tmp_path / "deam")
    path = write(tmp_path / "deam" / "meta" / "mood_probabilities.csv", "song_id,happy\n1,0.9\n")
    for opens in (open_corpus, RatedSongs):
        with pytest.raises(TableError, match="which is computed from the songs' ratings"):
            opens(path)
    corpus = open_corpus(tmp_path / "deam")
    (problem,) = corpus.problems()
    assert "computed from the songs' ratings" in str(problem)
    assert "it is not read" in str(problem)
    assert len(corpus.sources()) == 4

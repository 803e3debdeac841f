"""Labels from tables of other programs: what they become, what is missing, what is refused."""

import cv2
import numpy as np
import pytest

from tests.corpora.test_ferplus import write as write_ferplus
from tests.media.made import encode
from triaffect.corpora.soft_labels import combine_units, open_with_labels, read_mapping
from triaffect.errors import AnnotationError, TableError
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

VOTED = [
    (1, {"happiness": 6, "neutral": 4}, "Training"),
    (2, {"fear": 3, "surprise": 5, "contempt": 2}, "PublicTest"),
    (3, {"contempt": 7, "anger": 3}, "Training"),
]
MAPPING = """
title = "a program"
origin = "teacher"
frame = "frame"
first_frame = 1
reliable = { column = "confidence", least = 0.8 }
[columns.AU12]
from = ["smile_left", "smile_right"]
center = 1.0
scale = 0.5
"""
RATINGS = """
title = "raters"
origin = "human"
[columns.valence]
from = ["happy"]
center = 50
scale = 50
"""


@pytest.fixture
def pictures(tmp_path):
    """Three pictures, a table beside them that is no table of labels, and a mapping."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.png", "more/c.png"):
        cv2.imwrite(str(folder / name), np.zeros((8, 8, 3), np.uint8))
    (folder / "ages.csv").write_text("clip,age\na.png,30\n")
    (tmp_path / "program.toml").write_text(MAPPING)
    (tmp_path / "ratings.toml").write_text(RATINGS)
    return folder


def moments(corpus):
    """Labels of all sources by id, the first row of each; None without rows."""
    tables = {source.source_id: corpus.moments(source) for source in corpus.sources()}
    return {name: each if len(each) else None for name, each in tables.items()}


def unit(table, name):
    targets = table.targets("AU", ACTION_UNITS.columns)
    k = ACTION_UNITS.columns.index(name)
    return float(targets.values[0, k]) if targets.valid[0, k] else None


def write(path, text):
    path.write_text(text)
    return path


def test_a_table_labels_the_pictures_it_names_by_path_or_name(pictures, tmp_path):
    table = write(tmp_path / "t.csv", "clip, smile_left,smile_right\na.png,1,1\nc.png,2,3\n")
    mapping = f"{tmp_path / 'program.toml'}={table}"
    read = moments(open_with_labels(pictures, [mapping], name="mine"))
    assert unit(read["mine/a.png"], "AU12") == pytest.approx(0.5)
    assert unit(read["mine/more/c.png"], "AU12") == pytest.approx(1 / (1 + np.exp(-3)))
    assert unit(read["mine/a.png"], "AU1") is None
    assert read["mine/b.png"] is None
    assert read["mine/a.png"].column("AU_origin").tolist() == ["teacher"]
    assert read["mine/a.png"].column("label_set").tolist() == ["AU"]


def test_blank_and_unreliable_rows_are_no_labels(pictures, tmp_path):
    text = "clip,smile_left,smile_right,confidence\na.png,1,1,0.7\nb.png,,1,0.9\n"
    table = write(tmp_path / "t.csv", text)
    read = moments(open_with_labels(pictures, [f"{tmp_path / 'program.toml'}={table}"]))
    assert read["media/a.png"] is None
    assert read["media/b.png"] is None


def test_programs_that_disagree_leave_a_unit_without_a_label(pictures, tmp_path):
    tables = [
        write(tmp_path / "one.csv", "clip,smile_left,smile_right\na.png,3,3\nb.png,1.2,1.2\n"),
        write(tmp_path / "two.csv", "clip,smile_left,smile_right\na.png,0,0\nb.png,1,1\n"),
    ]
    labels = [f"{tmp_path / 'program.toml'}={table}" for table in tables]
    read = moments(open_with_labels(pictures, labels))
    assert read["media/a.png"] is None
    assert unit(read["media/b.png"], "AU12") == pytest.approx(1 / (1 + np.exp(-0.2)))


def test_what_one_program_lacks_the_other_says():
    both = np.array([[[1.0, np.nan]], [[np.nan, np.nan]]])
    np.testing.assert_allclose(combine_units(both), [[1 / (1 + np.exp(-1.0)), np.nan]])


def test_ratings_are_scaled_and_keep_their_range(pictures, tmp_path):
    table = write(tmp_path / "r.csv", "clip,happy\na.png,75\nb.png,130\n")
    read = moments(open_with_labels(pictures, [f"{tmp_path / 'ratings.toml'}={table}"]))
    values = [
        read[f"media/{name}"].targets("VA", VALENCE_AROUSAL.columns) for name in ("a.png", "b.png")
    ]
    assert [float(each.values[0, 0]) for each in values] == [0.5, 1.0]
    assert [each.valid[0].tolist() for each in values] == [[True, False]] * 2
    assert read["media/a.png"].column("VA_origin").tolist() == ["human"]


def test_votes_become_valence_and_arousal(tmp_path):
    write_ferplus(tmp_path, VOTED)
    (table,) = moments(open_with_labels(tmp_path, ["category_means"])).values()
    votes = table.targets("EXPR", [f"p_{w}" for w in WORDS])
    derived = table.targets("VA", VALENCE_AROUSAL.columns)
    means = read_mapping("category_means").expression_means
    for row in range(len(table)):
        other = votes.values[row, WORDS.index("other")]
        assert derived.valid[row].all() == (other < 1 / 3 + 1e-6)
        if derived.valid[row].all():
            share = votes.values[row, :7] / votes.values[row, :7].sum()
            expected = sum(s * np.array(means[w]) for s, w in zip(share, WORDS, strict=False))
            np.testing.assert_allclose(derived.values[row], expected, atol=1e-6)
    assert set(table.column("VA_origin").tolist()) <= {"derived", None}


WORDS = ["neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other"]


def test_labels_of_the_corpus_stay(pictures, tmp_path):
    write(pictures / "labels.csv", "clip,person,AU12,AU1\na.png,p,1,\nb.png,p,,0\n")
    table = write(tmp_path / "t.csv", "clip,smile_left,smile_right\na.png,0,0\nb.png,0,0\n")
    read = moments(open_with_labels(pictures, [f"{tmp_path / 'program.toml'}={table}"]))
    assert unit(read["table/a.png"], "AU12") == 1.0
    assert read["table/a.png"].column("AU_origin").tolist() == ["human"]
    assert unit(read["table/b.png"], "AU12") is None


def test_people_are_in_one_split_each(pictures, tmp_path):
    lines = [f"clip{n}.png,p{n % 40},0.5" for n in range(400)]
    table = write(tmp_path / "labels.csv", "clip,person,valence\n" + "\n".join(lines) + "\n")
    corpus = open_with_labels(table, [], test_share=0.25, validation_share=0.25)
    splits = {}
    for source in corpus.sources():
        rows = corpus.moments(source)
        splits.setdefault(rows.column("person")[0], set()).add(rows.column("split")[0])
    assert all(len(each) == 1 for each in splits.values())
    counts = [sum(each == {name} for each in splits.values()) for name in ("test", "validation")]
    assert all(4 <= count <= 16 for count in counts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,smile_left\na.png,1\n", "expected a column clip, got name"),
        ("clip,grin\na.png,1\n", "expected columns such as smile_left"),
        ("clip,smile_left,smile_right\na.png,much,1\n", "expected numbers"),
        ("clip,smile_left,smile_right\na.png,1,1\na.png,2,2\n", "a.png twice"),
        ("clip,smile_left,smile_right\na.png,inf,1\n", "expected finite numbers"),
        ("", "expected a CSV table"),
    ],
)
def test_a_wrong_table_is_refused(pictures, tmp_path, text, said):
    table = write(tmp_path / "t.csv", text)
    with pytest.raises(TableError, match=said):
        open_with_labels(pictures, [f"{tmp_path / 'program.toml'}={table}"])


@pytest.mark.parametrize(
    ("mapping", "head", "rows", "said"),
    [
        ("program", "smile_left,smile_right", ["1,1", "2,3", "0,1"], None),
        ("program", "smile_left,smile_right", ["1,1", "2,3"], "no row of 1 of 3 clips, such as m"),
        ("program", "smile_left,smile_right", ["1,1", ",", ","], "AU12: 2 of 3 cells are blank"),
        ("program", "smile_left,smile_right", ["90,90", "0,0", "80,80"], "beyond doubt in 67%"),
        ("program", "smile_left,smile_right", [".01,.01", ".02,.02", "0,0"], "hardly differs"),
        ("ratings", "happy", ["75", "130", "20"], "valence: 1 of 3 ratings are outside"),
        ("ratings", "happy", ["75", "100", "0"], None),
    ],
)
def test_what_may_be_wrong_with_a_table_is_said(pictures, tmp_path, mapping, head, rows, said):
    lines = [f"{clip},{row}" for clip, row in zip(("a.png", "b.png", "c.png"), rows, strict=False)]
    table = write(tmp_path / "t.csv", "\n".join([f"clip,{head}", *lines]))
    doubts = open_with_labels(pictures, [f"{tmp_path / mapping}.toml={table}"]).doubts()
    assert len(doubts) == (said is not None)
    assert said is None or said in doubts[0]


def test_tables_that_mostly_disagree_are_doubted(pictures, tmp_path):
    head = "clip,smile_left,smile_right\n"
    one = write(tmp_path / "one.csv", head + "a.png,3,3\nb.png,1.2,1.2\nc.png,0,0\n")
    other = write(tmp_path / "other.csv", head + "a.png,0,0\nb.png,1,1\nc.png,2,2\n")
    names = [f"{tmp_path / 'program.toml'}={table}" for table in (one, other)]
    (doubt,) = open_with_labels(pictures, names).doubts()
    assert doubt.endswith("disagree on AU12 in 2 of 3 rows, which have no label of it")
    assert open_with_labels(pictures, [names[0]] * 2).doubts() == []


def test_a_table_of_other_clips_is_refused(tmp_path, pictures):
    head = "clip,smile_left,smile_right\n"
    table = write(tmp_path / "t.csv", head + "0,1,1\n2,1,0\n")
    names = [f"{tmp_path / 'program.toml'}={table}"]
    with pytest.raises(TableError, match=r"such as a\.png, got 0"):
        open_with_labels(pictures, names).doubts()
    unsure = write(tmp_path / "u.csv", head.strip() + ",confidence\na.png,1,1,0.2\n")
    with pytest.raises(TableError, match="got no rows"):
        open_with_labels(pictures, [f"{tmp_path / 'program.toml'}={unsure}"]).doubts()
    (tmp_path / "votes").mkdir()
    write_ferplus(tmp_path / "votes", VOTED)
    (doubt,) = open_with_labels(tmp_path / "votes", names).doubts()
    assert "no row of 1 of 3 clips, such as 1" in doubt


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("scale = 0.5", "scale = 0", "scale other than 0"),
        ("columns.AU12", "columns.AU99", "AU99"),
        ("center", "centre", "columns.AU12"),
        ('origin = "teacher"', 'origin = "a friend"', "origin"),
        ("first_frame = 1", "first_frame = ", "TOML"),
    ],
)
def test_a_wrong_mapping_is_refused(tmp_path, old, new, said):
    path = write(tmp_path / "m.toml", MAPPING.replace(old, new, 1))
    with pytest.raises(TableError, match=said):
        read_mapping(str(path))


def test_wrong_uses_are_refused(pictures, tmp_path):
    with pytest.raises(TableError, match="openface, blendshapes"):
        read_mapping("openfaze")
    with pytest.raises(TableError, match="openface=FILE"):
        open_with_labels(pictures, ["openface"])
    with pytest.raises(AnnotationError, match="someone left"):
        open_with_labels(pictures, ["category_means"], test_share=0.9, validation_share=0.9)
    write_ferplus(tmp_path, VOTED)
    with pytest.raises(AnnotationError, match="own media"):
        open_with_labels(tmp_path, ["category_means"], name="mine")


def test_a_folder_of_tables_labels_frames_of_the_videos_it_names(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    encode(videos / "talk.mkv", [40 * k for k in range(5)])
    tables = tmp_path / "tables"
    tables.mkdir()
    lines = ["frame, timestamp, confidence, AU12_r", "1, 0, 0.98, 3.0", "2, 0.04, 0.5, 3.0"]
    write(tables / "talk.csv", "\n".join([*lines, "4, 0.12, 0.98, 0.5"]) + "\n")
    (rows,) = moments(open_with_labels(videos, [f"openface={tables}"])).values()
    assert rows.column("frame").tolist() == [0, 3]  # not the one that the program was unsure of
    np.testing.assert_allclose(rows.column("time_s"), [0, 0.12], atol=1e-6)
    values = rows.targets("AU", ACTION_UNITS.columns).values[:, ACTION_UNITS.columns.index("AU12")]
    assert values[0] > 0.9
    assert values[1] < 0.5


def test_a_name_that_two_clips_have_labels_neither(pictures, tmp_path):
    cv2.imwrite(str(pictures / "more" / "a.png"), np.zeros((8, 8, 3), np.uint8))
    text = "clip,smile_left,smile_right\na.png,1,1\nc.png,1,1\n"
    table = write(tmp_path / "t.csv", text)
    read = moments(open_with_labels(pictures, [f"{tmp_path / 'program.toml'}={table}"]))
    assert read["media/more/a.png"] is None
    assert unit(read["media/a.png"], "AU12") == pytest.approx(0.5)  # that is its path
    assert unit(read["media/more/c.png"], "AU12") == pytest.approx(0.5)


def test_splits_of_the_corpus_stay(tmp_path):
    write(tmp_path / "labels.csv", "clip,person,split,AU1\na.png,p,test,1\nb.png,q,train,1\n")
    corpus = open_with_labels(tmp_path, [], validation_share=0.95)
    read = moments(corpus)
    assert read["table/a.png"].column("split").tolist() == ["test"]
    assert read["table/b.png"].column("split").tolist() == ["validation"]

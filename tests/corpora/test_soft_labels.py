"""Labels from tables of other programs: what they become, what is missing, what is refused."""

import cv2
import numpy as np
import pytest

from tests.corpora.test_acted_speech import write_wav
from tests.corpora.test_ferplus import write as write_ferplus
from tests.media.made import encode
from triaffect.corpora.soft_labels import combine_units, open_with_labels, read_mapping
from triaffect.corpora.soft_labels.tables import SoftLabelTable
from triaffect.errors import AnnotationError, TableError
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION
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


CODED = """
title = "FACS coders"
origin = "human"
[columns.AU12]
from = ["smile"]
center = 0.5
scale = 0.1
"""
FRAMES = """
title = "a program"
origin = "teacher"
frame = "frame"
[columns.AU12]
from = ["smile"]
center = 0.5
scale = 0.1
"""


@pytest.fixture
def videos(tmp_path):
    """Two videos of 75 frames, 25 a second, and a mapping."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a.mkv", "b.mkv"):
        encode(folder / name, [40 * k for k in range(75)])
    (tmp_path / "frames.toml").write_text(FRAMES)
    (tmp_path / "coded.toml").write_text(CODED)
    return folder


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
    (tmp_path / "coded.toml").write_text(CODED)
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


HEAD = "clip,smile_left,smile_right\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,smile_left\na.png,1\n", "expected a column clip, got name"),
        ("clip,grin\na.png,1\n", "expected columns such as smile_left"),
        (
            "clip,smile_left,smile_right\na.png,much,1\n",
            "row 1, column smile_left: expected a number, got .much",
        ),
        ("clip,smile_left,smile_right\na.png,1,1\na.png,2,2\n", "a.png twice"),
        (
            "clip,smile_left,smile_right\na.png,inf,1\n",
            "row 1, column smile_left: expected a finite number",
        ),
        ("", "expected a CSV table in UTF-8, got no header line; write the names"),
        (HEAD + "a.png,1,1,9\n", "row 1: expected 3 cells, got 4"),
        (HEAD + "a.png,0,1,0,2\n", "write numbers with a point"),
        (HEAD + 'a.png,"0,1",1\n', "row 1, column smile_left: expected a number with a decimal"),
        (HEAD.encode() + b"j\xfcrgen.png,1,1\n", "expected a CSV table in UTF-8, .*; save it as"),
        ((HEAD + "a.png,1,1\n").encode("utf-16"), "expected a CSV table in UTF-8, .*; save it as"),
        (HEAD.strip() + ",smile_left \na.png,1,1,2\n", "each column once, got smile_left twice"),
        ("clip,clip ,smile_left,smile_right\na.png,b,1,1\n", "each column once, got clip twice"),
        (HEAD.strip() + ",clip\na.png,1,1,a.png\n", "each column once, got clip twice"),
        ("clip,Smile_left,smile_right\na.png,1,1\n", "a column named smile_left, got 'Smile_left'"),
        (HEAD + ",1,1\n", "row 1, column clip: expected the path or name of a clip, got a blank"),
        (HEAD + "a.png,1,1\n./a.png,2,2\n", "a.png twice"),
        (HEAD.strip() + ",frame\na.png,1,1,1.5\n", "column frame: expected a whole number from 0"),
        (HEAD.strip() + ",frame\na.png,1,1,0\n", "column frame: expected a whole number from 1"),
        (HEAD.strip() + ",frame\na.png,1,1,\n", "column frame: .* from 1, got a blank cell"),
        (HEAD.strip() + ",frame\na.png,1,1,1e12\n", "column frame: expected a whole number"),
    ],
)
def test_a_wrong_table_is_refused(pictures, tmp_path, text, said):
    table = tmp_path / "t.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
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
        ("ratings", "happy", ["0.1", "0.9", "0.5"], "valence: hardly differs"),
        ("ratings", "happy", ["1", "9", "5"], "valence: all ratings are at one end"),
        (
            "program",
            "smile_left,smile_right",
            ["-999,-999", "2,3", "0,1"],
            "1 of 3 numbers are far",
        ),
        (
            "both",
            "smile,happy",
            ["1,75", "0,100", "1,0"],
            "no column grin, and so no labels of AU6",
        ),
    ],
)
def test_what_may_be_wrong_with_a_table_is_said(pictures, tmp_path, mapping, head, rows, said):
    lines = [f"{clip},{row}" for clip, row in zip(("a.png", "b.png", "c.png"), rows, strict=False)]
    table = write(tmp_path / "t.csv", "\n".join([f"clip,{head}", *lines]))
    (tmp_path / "both.toml").write_text(
        f"{CODED}{RATINGS.partition('human')[2][1:]}"
        '[columns.AU6]\nfrom = ["grin", "smile"]\ncenter = 1\nscale = 1\n'
    )
    doubts = open_with_labels(pictures, [f"{tmp_path / mapping}.toml={table}"]).doubts()
    assert len(doubts) == (said is not None)
    assert said is None or said in doubts[0]


@pytest.mark.parametrize(("scale", "is_said"), [(1.0, False), (0.2, True)])
def test_intensities_on_a_smaller_scale_are_doubted(tmp_path, scale, is_said):
    rng = np.random.default_rng(0)
    numbers = enumerate(scale * rng.uniform(0, 5, (200, 2)))
    rows = [f"{k}.png,{inner:.3f},{outer:.3f}" for k, (inner, outer) in numbers]
    text = "\n".join(["clip,AU01_r,AU02_r", *rows])
    table = SoftLabelTable.read(read_mapping("openface"), write(tmp_path / "t.csv", text))
    doubts = [each for each in table.doubts if "almost none of 200 rows" in each]
    assert len(doubts) == is_said
    assert not is_said or "AU1, AU2: present" in doubts[0]


def test_a_table_that_is_not_there_is_called_so(tmp_path):
    with pytest.raises(TableError, match="expected a CSV table, got No such file"):
        SoftLabelTable.read(read_mapping("openface"), tmp_path / "none.csv")


def test_a_mapping_s_table_of_other_names_says_which_it_takes(tmp_path):
    text = CODED + "[columns.happiness]\nfrom = ['smile']\ncenter = 1\nscale = 1\n"
    with pytest.raises(TableError, match=r"\[columns\] of AU1, .*p_other, got happiness"):
        read_mapping(str(write(tmp_path / "m.toml", text)))


SHARES = """
title = "A program of seven expressions"
origin = "teacher"
[columns.p_happiness]
from = ["Happy"]
center = 0
scale = 100
[columns.p_neutral]
from = ["Calm"]
center = 0
scale = 100
"""


def test_probabilities_of_expressions_are_labels(pictures, tmp_path):
    mapping = write(tmp_path / "shares.toml", SHARES)
    one = write(tmp_path / "one.csv", "clip,Happy,Calm\na.png,80,20\nb.png,5,10\nc.png,90,\n")
    other = write(tmp_path / "other.csv", "clip,Happy,Calm\na.png,40,40\nb.png,50,50\n")
    labels = {}
    corpus = open_with_labels(pictures, [f"{mapping}={one}", f"{mapping}={other}"])
    assert [doubt.partition(": ")[2] for doubt in corpus.doubts()] == [
        "no row of 1 of 3 clips, such as more/c.png"
    ]
    for source in corpus.sources():
        moments = corpus.moments(source)
        labels[source.source_id[-5:]] = moments
    shares = {name: each.targets("EXPR", EXPRESSION.columns) for name, each in labels.items()}
    assert shares["a.png"].values[0, [4, 0]] == pytest.approx([0.65, 0.35])
    assert shares["b.png"].values[0, [4, 0]] == pytest.approx([0.5, 0.5]), "one has too little"
    assert all(each.valid.all() for name, each in shares.items() if len(each.valid))
    assert not len(labels["c.png"]), "one of its cells is blank"
    assert labels["a.png"].column("EXPR_origin").tolist() == ["teacher"]


def test_an_expression_whose_column_is_missing_leaves_no_label_of_any(pictures, tmp_path):
    mapping = write(tmp_path / "shares.toml", SHARES)
    table = SoftLabelTable.read(
        read_mapping(str(mapping)), write(tmp_path / "t.csv", "clip,Happy\na.png,90\n")
    )
    assert np.isnan(table.values).all()
    assert any("p_neutral: 1 of 1 cells are blank" in doubt for doubt in table.doubts)


def test_expressions_on_which_two_programs_differ_are_none(pictures, tmp_path):
    mapping = write(tmp_path / "shares.toml", SHARES)
    one = write(tmp_path / "one.csv", "clip,Happy,Calm\na.png,90,10\nb.png,90,10\n")
    other = write(tmp_path / "other.csv", "clip,Happy,Calm\na.png,10,90\nb.png,60,40\n")
    corpus = open_with_labels(pictures, [f"{mapping}={one}", f"{mapping}={other}"])
    assert "disagree on the expression in 1 of 2 rows" in corpus.doubts()[-1]
    rows = {source.source_id[-5:]: len(corpus.moments(source)) for source in corpus.sources()}
    assert rows == {"a.png": 0, "b.png": 1, "c.png": 0}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["80,20", "70,30", "1,99"], None),
        (["8000,0", "70,30", "1,99"], "p_happiness: 1 of 3 probabilities are outside 0 to 1"),
        (["80,70", "70,30", "1,99"], "sum to more than 1 in 1 rows"),
        ([".8,.2", ".7,.3", "1,99"], "sum to less than 2/3 in 2 rows"),
    ],
)
def test_doubtful_probabilities_are_told(pictures, tmp_path, rows, said):
    lines = [f"{clip},{row}" for clip, row in zip(("a.png", "b.png", "c.png"), rows, strict=True)]
    table = write(tmp_path / "t.csv", "\n".join(["clip,Happy,Calm", *lines]))
    mapping = write(tmp_path / "shares.toml", SHARES)
    doubts = SoftLabelTable.read(read_mapping(str(mapping)), table).doubts
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
        ("scale = 0.5", "scale = inf", "columns.AU12.scale: .* finite"),
        ("scale = 0.5", "scale = nan", "columns.AU12.scale: .* finite"),
        ("center = 1.0", "center = -inf", "columns.AU12.center: .* finite"),
        ("least = 0.8", "least = nan", "reliable.least: .* finite"),
        (MAPPING[MAPPING.index("[columns") :], "", "expected columns of labels, such as"),
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
    for empty in ("openface=", f"category_means={pictures / 'ages.csv'}"):
        with pytest.raises(TableError, match=r"expected (openface=FILE|category_means alone), got"):
            open_with_labels(pictures, [empty])
    with pytest.raises(
        TableError, match=r"expected votes for expressions, .*, got a corpus without"
    ):
        open_with_labels(pictures, ["category_means"]).doubts()
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
    write(tables / "talk.csv", "\n".join([*lines, "1, 0, 0.9, 0.5"]) + "\n")
    with pytest.raises(TableError, match="talk, frame 1 twice; of several faces, leave the rows"):
        open_with_labels(videos, [f"openface={tables}"])


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


def test_people_and_splits_of_a_table_of_ones_own_hold_for_labels_of_programs(pictures, tmp_path):
    labels = write(
        pictures / "labels.csv",
        "clip,person,split,valence\na.png,ann,train,\nb.png,bob,test,\nmore/c.png,bob,test,0.5\n",
    )
    table = write(tmp_path / "t.csv", HEAD + "a.png,1,1\nb.png,2,2\nc.png,3,3\n")
    names = [f"{tmp_path / 'program.toml'}={table}"]
    for text in (
        labels.read_text(),
        "clip,person,split\na.png,ann,\nb.png,bob,test\nmore/c.png,bob,test\n",
    ):
        labels.write_text(text)
        rows = moments(open_with_labels(pictures, names))
        people = {
            name: (each.column("person")[0], each.column("split")[0]) for name, each in rows.items()
        }
        bob = ("bob", "test")
        assert people == {
            "table/a.png": ("ann", "train"),
            "table/b.png": bob,
            "table/more/c.png": bob,
        }
        assert all(unit(each, "AU12") is not None for each in rows.values())
    with pytest.raises(TableError, match="a label in at least one of"):
        open_with_labels(pictures, [], test_share=0.1)


def test_frames_that_a_table_of_ones_own_does_not_label_have_its_people(videos, tmp_path):
    lines = ["a.mkv,,ann,test,", "b.mkv,3,bob,train,0.5", "b.mkv,7,cat,test,"]
    write(videos / "labels.csv", "\n".join(["clip,frame,person,split,valence", *lines]))
    rows = "a.mkv,0,1\na.mkv,5,0\nb.mkv,3,1\nb.mkv,7,1\nb.mkv,9,0\n"
    table = write(tmp_path / "t.csv", "clip,frame,smile\n" + rows)
    corpus = open_with_labels(videos, [f"{tmp_path / 'frames.toml'}={table}"])
    read = moments(corpus)
    columns = ("frame", "person", "split")
    assert [read["table/a.mkv"].column(name).tolist() for name in columns] == [
        [0, 5], ["ann"] * 2, ["test"] * 2]  # fmt: skip
    assert [read["table/b.mkv"].column(name).tolist() for name in columns] == [
        [3, 7], ["bob", "cat"], ["train", "test"]]  # fmt: skip # whose face frame 9 is, is unsure
    assert read["table/b.mkv"].column("label_set").tolist() == ["MTL", "AU"]


def test_labels_of_people_win_over_those_of_programs(pictures, tmp_path):
    coded = write(tmp_path / "coded.csv", "clip,smile\na.png,0\n")
    programs = [
        write(tmp_path / "one.csv", "clip,AU12_r,AU04_r\na.png,3,0\nb.png,3,3\nc.png,0,0\n"),
        write(tmp_path / "two.csv", "clip,AU12_r\na.png,3\nb.png,3\nc.png,3\n"),
    ]
    human = f"{tmp_path / 'coded.toml'}={coded}"
    labels = [f"openface={each}" for each in programs]
    for order in ([human, *labels], [*labels, human]):
        corpus = open_with_labels(pictures, order)
        read = moments(corpus)
        assert unit(read["media/a.png"], "AU12") == pytest.approx(1 / (1 + np.exp(5)))
        assert read["media/a.png"].column("AU_origin").tolist() == ["human", "teacher"]
        assert unit(read["media/b.png"], "AU12") > 0.9
        assert read["media/b.png"].column("AU_origin").tolist() == ["teacher"]
        assert unit(read["media/more/c.png"], "AU12") is None
        assert not any("coded" in doubt and "disagree" in doubt for doubt in corpus.doubts())
    other = write(tmp_path / "other.csv", "clip,smile\na.png,1\n")
    order = [human, f"{tmp_path / 'coded.toml'}={other}", *labels]
    (row,) = [moments(open_with_labels(pictures, order))["media/a.png"]]
    assert unit(row, "AU12") is None, "people who contradict each other are not decided by programs"
    assert unit(row, "AU4") is not None


def test_what_a_row_lacks_is_filled_with_its_own_origin(pictures, tmp_path):
    write(pictures / "labels.csv", "clip,person,AU12,valence\na.png,ann,1,0.5\nb.png,bob,,\n")
    program = write(tmp_path / "one.csv", "clip,AU12_r,AU04_r\na.png,0,3\nb.png,3,3\n")
    coded = write(tmp_path / "coded.csv", "clip,smile\na.png,0\nb.png,1\n")
    more = write(tmp_path / "more.toml", CODED.replace("AU12", "AU6"))
    labels = [
        f"openface={program}",
        f"{tmp_path / 'coded.toml'}={coded}",
        f"{more}={coded}",
    ]
    read = moments(open_with_labels(pictures, labels))
    both = read["table/a.png"]
    values = both.targets("AU", ACTION_UNITS.columns)
    units = [dict(zip(ACTION_UNITS.columns, row, strict=True)) for row in values.valid.tolist()]
    assert [[name for name, valid in row.items() if valid] for row in units] == [
        ["AU6", "AU12"], ["AU4"]]  # fmt: skip
    assert unit(both, "AU12") == 1.0, "its own"
    assert both.column("AU_origin").tolist() == ["human", "teacher"]
    assert both.column("person").tolist() == ["ann", "ann"]
    assert both.column("valence").tolist()[0] == 0.5
    assert np.isnan(both.column("valence")[1])
    assert both.column("AU_weight").tolist() == [1.0, 1.0]
    assert both.column("label_set").tolist() == ["MTL", "AU"]
    assert read["table/b.png"].column("AU_origin").tolist() == ["human", "teacher"]


def test_a_row_without_a_frame_labels_a_whole_video(videos, tmp_path):
    table = write(tmp_path / "t.csv", "clip,smile\na.mkv,1\nb.mkv,0\n")
    corpus = open_with_labels(videos, [f"{tmp_path / 'coded.toml'}={table}"])
    assert not any("moment" in doubt for doubt in corpus.doubts())
    read = moments(corpus)
    assert read["media/a.mkv"].column("frame").tolist() == [25, 38, 50]
    np.testing.assert_allclose(read["media/a.mkv"].column("time_s"), [1, 1.52, 2], atol=1e-6)
    assert unit(read["media/a.mkv"], "AU12") > 0.9
    write(videos / "labels.csv", "clip,frame,valence\na.mkv,3,0.5\nb.mkv,,1\n")
    read = moments(open_with_labels(videos, [f"{tmp_path / 'coded.toml'}={table}"]))
    assert read["table/a.mkv"].column("frame").tolist() == [3]
    assert read["table/b.mkv"].column("label_set").tolist() == ["MTL"] * 3


@pytest.mark.parametrize(
    ("folder", "text", "said"),
    [
        ("videos", "clip,smile\na.mkv,1\nb.mkv,0\n", "got rows of a.mkv, but no column frame"),
        ("videos", "clip,frame,smile\na.mkv,0,\nb.mkv,0,\n", "a number of AU12 in .* blank cells"),
        ("pictures", "clip,frame,smile\na.png,7,1\nb.png,7,0\n", "got frame 7 of a.png, which is"),
        ("videos", "clip,frame,smile\na.mkv,0,1\na.mkv,75,1\nb.mkv,0,0\n",
         r"t\.csv, row 2, column frame: expected a frame of the video, from 0 to 74, got 75"),
    ],
)  # fmt: skip
def test_a_table_that_labels_no_moment_is_refused(request, tmp_path, folder, text, said):
    root = request.getfixturevalue(folder)
    write(tmp_path / "frames.toml", FRAMES)
    table = write(tmp_path / "t.csv", text)
    corpus = open_with_labels(root, [f"{tmp_path / 'frames.toml'}={table}"])
    with pytest.raises(TableError, match=said):
        corpus.doubts()


def test_clips_of_which_no_row_labels_a_moment_are_counted(pictures, tmp_path):
    write(tmp_path / "frames.toml", FRAMES)
    table = write(tmp_path / "t.csv", "clip,frame,smile\na.png,7,1\nb.png,0,1\nc.png,0,0\n")
    (doubt,) = open_with_labels(pictures, [f"{tmp_path / 'frames.toml'}={table}"]).doubts()
    assert doubt.endswith(
        "no row labels a moment of 1 of 3 clips: frame 7 of a.png, which is a picture"
    )


def test_a_frame_past_the_end_of_a_file_of_a_folder_names_that_file(videos, tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    write(tables / "a.csv", "frame, confidence, AU12_r\n75, 0.9, 1\n1, 0.1, 1\n76, 0.9, 1\n")
    corpus = open_with_labels(videos, [f"openface={tables}"])
    said = r"a\.csv, row 3, column frame: expected a frame of the video, from 1 to 75, got 76"
    for read in (corpus.doubts, lambda: moments(corpus)):
        with pytest.raises(TableError, match=said):
            read()


def test_blank_rows_and_what_programs_write_for_no_number_are_none(pictures, tmp_path):
    text = HEAD + "a.png,NA,1\nb.png,nan,1\nc.png,1,1\n,,\n ,,\n"
    table = write(tmp_path / "t.csv", text)
    read = moments(open_with_labels(pictures, [f"{tmp_path / 'program.toml'}={table}"]))
    assert [name for name, each in read.items() if each is not None] == ["media/more/c.png"]


def test_other_separators_and_decimal_commas_are_read(pictures, tmp_path):
    for separator in (";", "\t"):
        table = write(tmp_path / "t.csv", f"\ufeff{HEAD}a.png,1.0,2.0\n".replace(",", separator)
                      .replace(".0", ",0"))  # fmt: skip
        read = moments(open_with_labels(pictures, [f"{tmp_path / 'program.toml'}={table}"]))
        assert unit(read["media/a.png"], "AU12") == pytest.approx(1 / (1 + np.exp(-1)))


def test_a_picture_under_two_names_is_refused(pictures, tmp_path):
    table = write(tmp_path / "t.csv", HEAD + "b.png,1,1\nb,3,3\n")
    corpus = open_with_labels(pictures, [f"{tmp_path / 'program.toml'}={table}"])
    for read in (corpus.doubts, lambda: moments(corpus)):
        with pytest.raises(TableError, match=r"got b\.png twice, as b\.png and as b"):
            read()


def test_tables_label_the_first_face(videos, tmp_path):
    lines = ["a.mkv,0,0,ann,0.5", "a.mkv,0,1,bob,0.5", "b.mkv,0,1,bob,0.5"]
    write(videos / "labels.csv", "\n".join(["clip,frame,face_id,person,valence", *lines]))
    table = write(tmp_path / "t.csv", "clip,frame,smile\na.mkv,0,1\nb.mkv,0,1\n")
    read = moments(open_with_labels(videos, [f"{tmp_path / 'frames.toml'}={table}"]))
    assert read["table/a.mkv"].column("AU_origin").tolist() == ["teacher", None]
    assert read["table/b.mkv"].column("track").tolist() == [1, 0]
    assert read["table/b.mkv"].column("AU_origin").tolist() == [None, "teacher"]


@pytest.mark.parametrize("ending", ["", ".wav"])
@pytest.mark.parametrize("folder", ["", "Actor_01/"])
def test_a_clip_goes_by_its_name_with_or_without_ending(tmp_path, ending, folder):
    name = "03-01-05-02-01-01-01"
    write_wav(tmp_path / "ravdess" / "Actor_01" / f"{name}.wav")
    (tmp_path / "ratings.toml").write_text(RATINGS)
    table = write(tmp_path / "ratings.csv", f"clip,happy\n{folder}{name}{ending},75\n")
    corpus = open_with_labels(tmp_path / "ravdess", [f"{tmp_path}/ratings.toml={table}"])
    (source,) = corpus.sources()
    assert set(corpus.moments(source).column("valence")) == {0.5}


@pytest.mark.parametrize("name", ["more/c", "more/c.png", "c", "c.png"])
def test_a_picture_in_a_folder_goes_by_its_path_or_name(pictures, tmp_path, name):
    table = write(tmp_path / "t.csv", f"clip,smile_left,smile_right\n{name},2,3\n")
    read = moments(
        open_with_labels(pictures, [f"{tmp_path / 'program.toml'}={table}"], name="mine")
    )
    assert unit(read["mine/more/c.png"], "AU12") == pytest.approx(1 / (1 + np.exp(-3)))

"""FER+: votes, duplicates, splits."""

import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from triaffect.corpora.ferplus import FerPlus
from triaffect.errors import AnnotationError
from triaffect.tasks.expression import EXPRESSION

COLUMNS = [
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
]


def write(folder, rows, **replaced):
    """Rows are (brightness of the image, votes by column name, split)."""
    votes = [[given.get(name, 0) for name in COLUMNS] for _, given, _ in rows]
    arrays = {
        "images": np.stack([np.full((48, 48), value, np.uint8) for value, _, _ in rows]),
        "votes": np.array(votes, np.uint8),
        "vote_columns": np.array(COLUMNS),
        "split": np.array([split for _, _, split in rows]),
    }
    np.savez(folder / "ferplus.npz", **arrays | replaced)
    return FerPlus(folder)


def moments_of(corpus):
    return corpus.moments(corpus.sources()[0])


def test_votes_become_a_distribution(tmp_path):
    corpus = write(
        tmp_path,
        [(1, {"happiness": 6, "contempt": 2, "unknown": 2}, "Training")],
    )
    targets = moments_of(corpus).targets("EXPR", EXPRESSION.columns)
    assert np.allclose(targets.values, [[0, 0, 0, 0, 0.75, 0, 0, 0.25]])
    assert targets.valid.all()


def test_rows_without_an_expression_are_left_out(tmp_path):
    corpus = write(
        tmp_path,
        [
            (1, {"unknown": 6, "fear": 4}, "Training"),
            (2, {"NF": 10}, "Training"),
            (3, {"fear": 5, "NF": 5}, "Training"),
        ],
    )
    moments = moments_of(corpus)
    assert moments.column("frame").tolist() == [2]
    assert [frame for frame, _ in corpus.images(corpus.sources()[0])] == [2]


def test_equal_images_stay_in_one_split(tmp_path):
    happy = {"happiness": 10}
    train = [(value, happy, "Training") for value in [*range(100)] * 2]
    test = [(7, happy, "PublicTest"), (200, happy, "PublicTest")]
    moments = moments_of(write(tmp_path, train + test))
    frame = moments.table.to_pandas()
    assert frame.groupby("person")["split"].nunique().max() == 1
    assert not {7, 107} & set(frame["frame"])  # repeat a test image
    assert set(frame.query("split == 'test'")["frame"]) == {200, 201}
    assert 2 <= (frame["split"] == "validation").sum() <= 40
    assert frame["person"].nunique() == 101


def test_images_are_rgb(tmp_path):
    corpus = write(tmp_path, [(9, {"fear": 10}, "Training")])
    ((frame, image),) = corpus.images(corpus.sources()[0])
    assert frame == 0
    assert image.shape == (48, 48, 3)
    assert image.dtype == np.uint8
    assert (image == 9).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("votes", np.zeros((2, 10), np.uint8)),
        ("images", np.zeros((1, 48, 48), np.float32)),
        ("vote_columns", np.array([*COLUMNS[:-1], "joy"])),
        ("split", np.array([{"a": 1}], object)),  # would need unpickling
    ],
)
def test_a_file_of_another_shape(tmp_path, name, value):
    corpus = write(tmp_path, [(1, {"fear": 10}, "Training")], **{name: value})
    with pytest.raises(AnnotationError, match=r"ferplus\.npz"):
        moments_of(corpus)


def test_a_file_that_is_no_array(tmp_path):
    (tmp_path / "ferplus.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(AnnotationError, match=r"ferplus\.npz"):
        moments_of(FerPlus(tmp_path))


@needs_shared
def test_real_ferplus():
    corpus = FerPlus(SHARED / "data" / "ferplus")
    frame = moments_of(corpus).table.to_pandas()
    assert frame.groupby("person")["split"].nunique().max() == 1
    votes = frame[list(EXPRESSION.columns)]
    assert np.allclose(votes.sum(axis=1), 1)
    counts = frame["split"].value_counts()
    assert 3500 < counts["test"] <= 3579
    share = counts["validation"] / (counts["validation"] + counts["train"])
    assert 0.09 < share < 0.11
    majority = votes.to_numpy().argmax(1)
    counts = np.bincount(majority, minlength=8)
    assert counts.sum() > 31_000
    assert counts.argsort()[-2:].tolist() == [4, 0]  # happiness, then neutral, lead

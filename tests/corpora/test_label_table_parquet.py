"""A Parquet table reads as the CSV table of the same content, whatever its types."""

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.corpora.test_label_table import table, table_of
from triaffect.corpora.base import open_corpus
from triaffect.corpora.label_table import LabelTable
from triaffect.errors import TableError

HEADER = "clip,frame,time_s,face_id,person,split,valence,arousal,expression,AU1,AU2"
LINES = (
    "a.wav,0,0.125,0,7,train,0.5,-0.1,happiness,1,0",
    "a.wav,3,0.25,,7,Test,,,3,,1",
    "b.wav,10,1.5,2,,,0.1,,,0,",
    "c.jpg,0,0,1,9,validation,,,0,,",
)
COLUMNS = {
    "clip": ["a.wav", "a.wav", "b.wav", "c.jpg"],
    "frame": [0, 3, 10, 0],
    "time_s": [0.125, 0.25, 1.5, 0.0],
    "face_id": [0, None, 2, 1],
    "person": [7, 7, None, 9],
    "split": ["train", "Test", None, "validation"],
    "valence": [0.5, None, 0.1, None],
    "arousal": [-0.1, None, None, None],
    "expression": ["happiness", "3", None, "0"],
    "AU1": [1, None, 0, None],
    "AU2": [0, 1, None, None],
}
TYPES = {
    "plain": {},
    "narrow": {"frame": pa.int16(), "face_id": pa.uint8(), "valence": pa.float32(),
               "AU1": pa.int8(), "person": pa.int64(), "time_s": pa.float32()},
    "floats": {"frame": pa.float64(), "face_id": pa.float32(), "AU1": pa.float16(),
               "AU2": pa.float64()},
    "dictionaries": {name: pa.dictionary(pa.int32(), pa.string())
                     for name in ("clip", "split", "expression")},
    "large strings": {name: pa.large_string() for name in ("clip", "split", "expression")},
}  # fmt: skip


def write(path, columns, types, **options):
    arrays = {name: pa.array(values) for name, values in columns.items()}
    arrays |= {name: arrays[name].cast(kind) for name, kind in types.items()}
    pq.write_table(pa.table(arrays), path, **options)
    return path


@pytest.mark.parametrize("types", TYPES)
def test_the_same_as_the_csv_of_the_same_content(tmp_path, types):
    plain = table_of(table(tmp_path, HEADER, *LINES, name="plain.csv"))
    assert len(plain) == 4
    path = write(tmp_path / "labels.parquet", COLUMNS, TYPES[types], row_group_size=3)
    assert table_of(path) == plain
    assert LabelTable(tmp_path).sources() == LabelTable(path).sources()


def test_numbers_as_text_and_missing_as_nan(tmp_path):
    columns = COLUMNS | {
        "valence": ["0.5", "", "0.1", " "],
        "frame": ["0", "3", "10", "0"],
        "arousal": [-0.1, float("nan"), float("nan"), float("nan")],
        "split": ["train", "Test", "", "validation"],
    }
    path = write(tmp_path / "labels.parquet", columns, {})
    assert table_of(path) == table_of(table(tmp_path, HEADER, *LINES, name="plain.csv"))


def test_other_columns_are_passed_over_whatever_they_hold(tmp_path):
    columns = {"clip": ["a.wav"], "frame": [3], "AU1": [1], "vector": [[1.0, 2.0]],
               "box": [{"x": 1}], "when": [date(2024, 1, 1)], "no": [None]}  # fmt: skip
    labels = table_of(write(tmp_path / "x.parquet", columns, {}))
    assert labels["AU1"].to_pylist() == [1]


def test_a_column_of_nulls_is_blank(tmp_path):
    columns = {"clip": ["a.wav"], "frame": [3], "time_s": [None], "AU1": [1], "person": [None],
               "valence": [None]}  # fmt: skip
    labels = table_of(write(tmp_path / "x.parquet", columns, {}))
    assert labels["person"].to_pylist() == ["table/a.wav"]
    assert labels["valence"].null_count == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AU1": [1, 2, 0, 0]}, "row 2, column AU1: .* got 2"),
        ({"valence": [0, 0, float("inf"), 0]}, "row 3, column valence: .*infinity"),
        ({"valence": ["0", "0", "x", "0"]}, "row 3, column valence: .*'x'"),
        ({"AU1": [True, False, None, True]}, "column AU1: expected numbers or text, .* type bool"),
        ({"AU1": [[1]] * 4}, "column AU1: expected numbers or text, .* type list"),
        ({"clip": [[1]] * 4}, "column clip: expected numbers or text, .* type list"),
        ({"clip": ["a.wav", "../b.wav", "", ""]}, "row 2, column clip: .*inside"),
        ({"clip": ["a.wav", None, "a.wav", ""]}, "row 2, column clip: .*inside"),
        ({"frame": [0, -1, 2, 3]}, "row 2, column frame: .* got .*-1"),
        ({"frame": [0, 1.5, 2, 3]}, "row 2, column frame: .* got .*1.5"),
        ({"split": ["train", "dev", "", ""]}, "row 2, column split: .*'dev'"),
        ({"Valence": [0, 0, 0, 0]}, "named valence, got 'Valence'"),
    ],
)
def test_mistakes(tmp_path, change, message):
    path = write(tmp_path / "labels.parquet", COLUMNS | change, {})
    with pytest.raises(TableError, match=message) as error:
        open_corpus(tmp_path)
    assert error.value.where.startswith(str(path))
    assert "\n" not in str(error.value)


def test_what_is_no_parquet(tmp_path):
    path = tmp_path / "labels.parquet"
    for content in (b"", b"clip,frame\n", b"PAR1" + b"x" * 50 + b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(TableError, match="expected a Parquet table"):
            open_corpus(tmp_path)


def test_two_tables_in_one_folder(tmp_path):
    table(tmp_path, HEADER, *LINES)
    write(tmp_path / "labels.parquet", COLUMNS, {})
    with pytest.raises(TableError, match="give the file itself"):
        open_corpus(tmp_path)

"""Tables as files: equal to the table in memory, whole or not there."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from triaffect.errors import DiskError, TableError
from triaffect.tables.schema import Instants, build_table, table_schema, to_pandas
from triaffect.tables.writers import TableWriter, check_table_output
from triaffect.tasks.registry import TASKS


def made_table(n=5, clip="a, b.mp4"):
    rng = np.random.default_rng(n)
    track = np.arange(n) % 3 - 1
    box = np.where((track < 0)[:, None], np.nan, rng.uniform(0, 900, (n, 4))).astype(np.float32)
    times_s = 36_000 + np.arange(n) / 30
    points = box[:, None, :2] + rng.uniform(0, 90, (n, 5, 2)).astype(np.float32)
    score = box[:, 0] / 900
    instants = Instants(np.arange(n), times_s, track, box, score, points, -score)
    values = {task.key: rng.uniform(0, 1, (n, task.width)).astype(np.float32) for task in TASKS}
    for each in values.values():
        each[track < 0] = np.nan
    return build_table(clip, instants, values, track >= 0, TASKS, np.ones(len(track)))


def write(path, *tables):
    with TableWriter(path, table_schema(TASKS)) as writer:
        for table in tables:
            writer.append(table)


def test_csv_reads_back_as_the_same_table(tmp_path):
    write(tmp_path / "t.csv", made_table(5), made_table(4, "c.mp4"))
    back = pd.read_csv(tmp_path / "t.csv", dtype={"face_id": "Int64"})
    whole = to_pandas(pa.concat_tables([made_table(5), made_table(4, "c.mp4")]))
    pd.testing.assert_frame_equal(back, whole, check_dtype=False)


def test_parquet_reads_back_as_the_same_table(tmp_path):
    write(tmp_path / "t.parquet", made_table(7))
    pd.testing.assert_frame_equal(
        to_pandas(pa.parquet.read_table(tmp_path / "t.parquet")), to_pandas(made_table(7))
    )


def test_csv_cells_are_plain(tmp_path):
    write(tmp_path / "t.csv", made_table(2))
    header, blank, seen = (tmp_path / "t.csv").read_text().splitlines()
    assert header.startswith("clip,frame,time_s,face_id,box_x")
    assert blank == '"a, b.mp4",0,36000.0,' + "," * 44 + "false,false,"
    assert seen.startswith('"a, b.mp4",1,36000.033333,0,')
    assert seen.endswith("true,true,1.0")
    assert max(len(cell) for cell in seen.split(",")[4:]) <= 9


def test_many_small_parts_become_few_row_groups(tmp_path):
    write(tmp_path / "t.parquet", *[made_table(3)] * 500)
    assert pa.parquet.ParquetFile(tmp_path / "t.parquet").num_row_groups == 1


def test_json_lines_read_back_as_the_same_table(tmp_path):
    write(tmp_path / "t.jsonl", made_table(5), made_table(4, "c.mp4"))
    lines = (tmp_path / "t.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows == pa.concat_tables([made_table(5), made_table(4, "c.mp4")]).to_pylist()
    assert rows[0]["face_id"] is rows[0]["valence"] is rows[0]["expression"] is None
    assert '"face_seen": false' in lines[0]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_what_is_told_lies_beside_a_plain_file(tmp_path, name):
    told = {"tool": "triaffect", "columns": {"clip": "café"}}
    with TableWriter(tmp_path / name, table_schema(TASKS), told) as writer:
        writer.append(made_table(2))
    assert json.loads((tmp_path / f"{name}.meta.json").read_text("utf-8")) == told
    assert len(list(tmp_path.iterdir())) == 2
    assert b"tool" not in (tmp_path / name).read_bytes()


def test_what_is_told_lies_within_parquet(tmp_path):
    told = {"tool": "triaffect", "columns": {"clip": "café"}}
    with TableWriter(tmp_path / "t.parquet", table_schema(TASKS), told) as writer:
        writer.append(made_table(2))
    metadata = pa.parquet.read_schema(tmp_path / "t.parquet").metadata
    assert json.loads(metadata[b"triaffect"]) == told
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_whole_number_stays_whole_where_others_are_blank(tmp_path):
    schema = pa.schema([pa.field("n", pa.int64())])
    with TableWriter(tmp_path / "t.csv", schema) as writer:
        writer.append(pa.table({"n": [1, None]}, schema))
    assert (tmp_path / "t.csv").read_text() == 'n\n1\n""\n'


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, name):
    (tmp_path / name).write_text("old")
    with pytest.raises(TypeError):
        write(tmp_path / name, made_table(3), made_table(5000), "no table")
    assert (tmp_path / name).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["table.ods", "table", "file/t.csv", "folder.csv"])
def test_a_place_where_no_table_can_be_is_refused_before_any_work(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises((TableError, DiskError)):
        check_table_output(tmp_path / name)


def test_a_name_that_is_no_text_can_still_be_written(tmp_path):
    table = made_table(2, b"caf\xe9.mp4".decode("utf-8", "surrogateescape"))
    write(tmp_path / "t.csv", table)
    assert r"caf\xe9.mp4" in (tmp_path / "t.csv").read_text("utf-8")


def test_spss_takes_names_of_any_length_and_its_own_words(tmp_path):
    pyreadstat = pytest.importorskip("pyreadstat")
    names = ["ä" * 80, "ä" * 81, "a b", "A_b", "1x", "with", "By", "", "日" * 40]
    table = pa.table([pa.array([float(k)]) for k in range(len(names))], names)
    with TableWriter(tmp_path / "t.sav", table.schema) as writer:
        writer.notes = dict.fromkeys(names, "ü" * 300)
        writer.append(table)
    back, described = pyreadstat.read_sav(tmp_path / "t.sav")
    assert back.iloc[0].tolist() == list(range(len(names)))
    assert len({name.casefold() for name in back.columns}) == len(names)
    assert {len(label) for label in described.column_labels} == {125}

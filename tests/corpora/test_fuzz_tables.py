"""Tables of labels broken at random: a clear error or the right table, never a crash."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.corpora.fuzz_tables import (
    LABELS,
    SHARES,
    fuzz_tables,
    make,
    parse,
    read,
    reference,
    write_media,
)


def test_broken_csv_tables_are_refused_or_right(tmp_path):
    tally = fuzz_tables(600, 7, tmp_path)
    assert tally.wrong == []
    assert tally.files["table"] == 600
    assert tally.right["table"] > 80
    assert tally.refused["table", "whole"] > 200
    assert tally.refused["table", "a clip"] > 40


@pytest.mark.parametrize(
    "content",
    [
        b"clip,frame,AU1\na.wav,0,1_0\n",
        "clip,frame,AU1\na.wav,0,\u0661\n".encode(),
        b"clip,frame,expression\na.wav,0,0_1\n",
        b"clip,frame,AU1\na.wav\x00,0,1\n",
        b'clip;frame;AU1\n"a"b;0;1\n',
        b"clip,frame,AU1\n\n,,,,\na.wav,0,1\n",
        b"clip,frame,AU1,Valence\na.wav,0,1,0\n",
        b"clip,frame,AU 1,valence\na.wav,0,1,0\n",
        b'clip,frame,valence\na.wav,0,"0,5"\n',
        b"clip,time_s,valence\nv.mkv,0.2649999999,1\nv.mkv,0.265,1\nv.mkv,1.19,0\nv.mkv,1.3,0\n",
        b"clip,time_s,valence\nv.mkv,2.06,1\n",
        b"clip,frame,time_s,valence\na.wav,9,,1\na.wav,,5.1,1\nb.wav,9,,0\n",
        b"clip\tvalence\tframe\na.wav\t0,5\t1\n",
    ],
)
def test_found_by_fuzzing_or_thought_of(tmp_path, content):
    write_media(tmp_path)
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    got, expected = read(path), reference(content)
    if isinstance(expected, frozenset):
        assert isinstance(got, frozenset)
        assert got <= expected
    else:
        assert got == expected


def parquet(generator, path):
    """A right table as Parquet, with sums that guard its pages."""
    rows, wrong = parse(make(generator))
    assert not wrong
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for name in {"frame", "time_s", "face_id", *LABELS} & columns.keys():
        numbers = [float(cell) if cell.strip() else None for cell in columns[name]]
        columns[name] = pa.array(numbers, pa.float64())
    pq.write_table(pa.table(columns), path, write_page_checksum=True,
                   compression=generator.choice(["none", "snappy", "zstd"]))  # fmt: skip


def pages_end(content):
    """Where the pages end and the description of the file begins."""
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")


def broken(generator, content):
    """A file cut off, or with a few bytes changed among its pages."""
    if generator.random() < 0.4:
        return content[: generator.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(generator.randint(1, 4)):
        changed[generator.randrange(4, pages_end(content))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def test_broken_parquet_tables_are_refused_or_right(tmp_path):
    write_media(tmp_path)
    generator, path = random.Random(3), tmp_path / "labels.parquet"
    refused = right = 0
    for _ in range(60):
        parquet(generator, path)
        content, expected = path.read_bytes(), read(path)
        for _ in range(5):
            path.write_bytes(broken(generator, content))
            got = read(path)
            if got == frozenset({0}):
                refused += 1
            else:
                assert got == expected
                right += 1
    assert refused > 200
    assert right > 0


def test_a_broken_description_of_a_parquet_table_never_crashes(tmp_path):
    """No sum guards it, so that another name or number there may go unseen."""
    write_media(tmp_path)
    generator, path = random.Random(4), tmp_path / "labels.parquet"
    refused = 0
    for _ in range(30):
        parquet(generator, path)
        content = path.read_bytes()
        for _ in range(8):
            changed = bytearray(content)
            changed[generator.randrange(pages_end(content), len(content))] ^= (
                1 << generator.randrange(8)
            )
            path.write_bytes(changed)
            got = read(path)
            assert got != frozenset({-1})
            refused += isinstance(got, frozenset)
    assert refused > 50


def test_the_reference_and_the_reader_are_different_programs():
    """A check of the check: the reference knows the rules that the tests above turn on."""
    shares = ",".join(SHARES)
    assert reference(b"clip,frame,AU1\na.wav,0,2\na.wav,1,1\n") == frozenset({1})
    votes = f"clip,{shares}\nc.jpg,1,1,0,0,0,0,0,0\nc.jpg,1,1,0,0,0,0,0,\n"
    assert reference(votes.encode()) == frozenset({2})
    assert reference(b"clip,frame,AU1\na.wav,30,1\n")["table/a.wav"][0][2:4] == (30, 1.0)

"""TensorFlow's checkpoint format against damage, and its checksum against one bit at a time."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tools.keras_import import bundle, sstable
from tools.keras_import.bundle import read_bundle
from tools.keras_import.crc32c import crc32c, masked
from tools.keras_import.wire import DamageError, fields, varint
from triaffect.errors import ModelError

DATA = Path(__file__).parent / "data"
INDEX, SHARD = "tiny.index", "tiny.data-00000-of-00001"


def bit_by_bit(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@example(b"123456789" * 4000)
@given(st.binary(max_size=300))
@settings(max_examples=30, deadline=None)
def test_checksum(data):
    assert crc32c(b"123456789") == 0xE3069283  # the published check value
    assert crc32c(data) == bit_by_bit(data)


@pytest.fixture
def copy(tmp_path):
    for name in (INDEX, SHARD):
        shutil.copy(DATA / name, tmp_path)
    return tmp_path


def outcome(index):
    """The variables, or the message of the one error that may come."""
    try:
        found = read_bundle(index)
    except ModelError as error:
        return str(error)
    return [(v.layer, v.name, v.role, v.values.tobytes()) for v in found]


def test_every_cut_of_either_file_is_told(copy):
    whole = outcome(copy / INDEX)
    assert len(whole) == 50
    for name in (INDEX, SHARD):
        content = (copy / name).read_bytes()
        for length in range(0, len(content), 1 + len(content) // 200):
            (copy / name).write_bytes(content[:length])
            assert isinstance(outcome(copy / INDEX), str), (name, length)
        (copy / name).write_bytes(content)
    assert outcome(copy / INDEX) == whole


def test_every_flip_is_told_or_harms_nothing(copy):
    whole = outcome(copy / INDEX)
    rng = np.random.default_rng(0)
    told = 0
    for name in (INDEX, SHARD):
        content = (copy / name).read_bytes()
        for at in rng.integers(0, len(content), 250):
            changed = bytearray(content)
            changed[at] ^= 1 << rng.integers(8)
            (copy / name).write_bytes(changed)
            got = outcome(copy / INDEX)
            assert isinstance(got, str) or got == whole, (name, at)
            told += isinstance(got, str)
        (copy / name).write_bytes(content)
    assert told > 480  # the rest: padding


def test_a_forger_who_knows_the_checksums(copy, monkeypatch):
    """Changes of any number of bytes with checksums that fit: an error, or some variables."""
    real = sstable.crc32c
    monkeypatch.setattr(sstable, "crc32c", lambda data: 0)
    monkeypatch.setattr(sstable, "masked", lambda checksum: AnyNumber())
    monkeypatch.setattr(bundle, "masked", lambda checksum: AnyNumber())
    content = (copy / INDEX).read_bytes()
    rng = np.random.default_rng(1)
    read = 0
    for _ in range(300):
        changed = bytearray(content)
        for at in rng.integers(0, len(content) - 48, rng.integers(1, 4)):
            changed[at] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        (copy / INDEX).write_bytes(changed)
        read += not isinstance(outcome(copy / INDEX), str)
    assert read
    assert real is crc32c


class AnyNumber:
    """Equal to everything."""

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = None


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_as_a_message_or_a_table(data):
    for read in (fields, sstable.read_table):
        try:
            list(read(data))
        except DamageError:
            continue


def test_numbers_that_do_not_end():
    with pytest.raises(DamageError, match="does not end"):
        varint(b"\xff" * 20, 0)
    assert varint(b"\xac\x02", 0) == (300, 2)


def table(entries):
    """A small sorted table with right checksums, as an attacker would write one."""

    def block(pairs):
        body = b"".join(
            bytes([0]) + number(len(key)) + number(len(value)) + key + value for key, value in pairs
        )
        body += bytes(4) + (1).to_bytes(4, "little") + b"\0"
        return body + masked(crc32c(body)).to_bytes(4, "little")

    first = block(entries)
    index = block([(b"\xff", number(0) + number(len(first) - 5))])
    handles = number(0) * 2 + number(len(first)) + number(len(index) - 5)
    return first + index + handles.ljust(40, b"\0") + sstable.MAGIC.to_bytes(8, "little")


def number(value):
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def field(tag, value):
    return bytes([tag << 3]) + number(value)


def sized(tag, content):
    return bytes([tag << 3 | 2]) + number(len(content)) + content


HEADER = (b"", field(1, 1))
EIGHT_FLOATS = field(1, 1) + sized(2, sized(2, field(1, 8))) + field(5, 32)


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ([HEADER, (b"a/kernel", EIGHT_FLOATS)], "does not match its checksum"),
        ([HEADER, (b"a/kernel", field(1, 1) + field(5, 32))], r"shape \(\) in 32 bytes"),
        ([HEADER, (b"a/kernel", EIGHT_FLOATS + field(3, 7))], "shard 7 of 1"),
        ([HEADER, (b"a/kernel", EIGHT_FLOATS + field(4, 1))], "beyond the end"),
        ([HEADER, (b"a/kernel", EIGHT_FLOATS), (b"b/kernel", EIGHT_FLOATS)], "cut off"),
        ([HEADER, (b"a", field(1, 1) + sized(2, sized(2, field(1, 1 << 62))))], "in 0 bytes"),
        ([HEADER, (b"a", field(1, 1) + sized(2, sized(2, b"")))], r"shape \(0,\)"),
        ([HEADER, (b"a", EIGHT_FLOATS + sized(7, b""))], "in slices"),
        ([(b"", field(1, 5000))], "5000 data files"),
        ([(b"", field(2, 1))], "big-endian"),
        ([HEADER, (b"\xff", EIGHT_FLOATS)], "not UTF-8"),
        ([HEADER, (b"k" * 2000, EIGHT_FLOATS)], "1,024 bytes"),
        ([HEADER, (bundle.GRAPH.encode(), EIGHT_FLOATS)], "not one string"),
    ],
)
def test_claims_that_the_data_do_not_bear_out(entries, match, tmp_path):
    (tmp_path / "w.index").write_bytes(table(entries))
    (tmp_path / "w.data-00000-of-00001").write_bytes(np.arange(8, dtype="<f4").tobytes())
    with pytest.raises(ModelError, match=match):
        read_bundle(tmp_path / "w.index")


def test_an_old_checkpoint_without_an_object_graph(tmp_path):
    values = np.arange(8, dtype="<f4")
    checksum = masked(crc32c(values.tobytes())).to_bytes(4, "little")
    entry = EIGHT_FLOATS + bytes([6 << 3 | 5]) + checksum
    (tmp_path / "w.index").write_bytes(table([HEADER, (b"scope/conv2d_3/bias", entry)]))
    with pytest.raises(ModelError, match="beside its index"):
        read_bundle(tmp_path / "w.index")
    (tmp_path / "w.data-00000-of-00001").write_bytes(values.tobytes())
    (variable,) = read_bundle(tmp_path / "w.index")
    assert (variable.layer, variable.name, variable.role) == ("scope/conv2d_3", "conv2d_3", "bias")
    np.testing.assert_array_equal(variable.values, values)

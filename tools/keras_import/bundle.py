"""TensorFlow checkpoints and the variables of a SavedModel ("tensor bundles").

``NAME.index`` is a sorted table from variable to dtype, shape, shard, offset, size and checksum;
``NAME.data-00000-of-00001`` holds the bytes. One variable is the object graph, which knows the
names that the layers had and the order they were made in. All is data; nothing is run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.keras_import.crc32c import crc32c, masked
from tools.keras_import.sstable import read_table
from tools.keras_import.variables import Variable, natural
from tools.keras_import.wire import DamageError, fields, raw, text, varint, whole
from triaffect.errors import ModelError

INDEX, DATA = ".index", ".data-{:05d}-of-{:05d}"
MOST_INDEX_BYTES, MOST_ENTRIES, MOST_SHARDS = 16_000_000, 100_000, 1000
MOST_AXES = 8
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_NOT_OF_LAYERS = {"optimizer", "_optimizer", ".OPTIMIZER_SLOT", "keras_api"}
_FLOATS: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 19: np.dtype("<f2")}
_STRING = 7
_WORD = 4


@dataclass(frozen=True)
class _Entry:
    """Where a variable lies; ``dtype`` is TensorFlow's number of it."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0


@dataclass(frozen=True)
class _Bundle:
    index: Path
    shards: int
    entries: dict[str, _Entry]

    def data(self, shard: int) -> Path:
        path = self.index.with_name(self.index.stem + DATA.format(shard, self.shards))
        if not path.is_file():
            raise ModelError(f"{path.name} beside its index", "no such file", where=path)
        return path

    def check_sizes(self) -> None:
        """No file can hold more than it is long; entries that overlap are no real ones."""
        if self.shards > MOST_SHARDS:
            raise DamageError(f"{self.shards} data files")
        there = sum(self.data(shard).stat().st_size for shard in range(self.shards))
        if sum(entry.size for entry in self.entries.values()) > there:
            raise DamageError(f"an index of more than the data's {there} bytes: they were cut off")

    def content(self, entry: _Entry) -> bytes:
        if entry.shard >= self.shards:
            raise DamageError(f"shard {entry.shard} of {self.shards}")
        path = self.data(entry.shard)
        if entry.offset + entry.size > path.stat().st_size:
            raise DamageError("variables beyond the end of the data")
        with path.open("rb") as stream:
            stream.seek(entry.offset)
            return stream.read(entry.size)


def read_bundle(index: Path) -> list[Variable]:
    """Variables of a checkpoint, attribute its index file; those of an optimiser are left out.

    Raises:
        ModelError: A file is missing, cut off, changed, or in a form that cannot be read.
    """
    try:
        bundle = _open(index)
        return list(_variables(bundle))
    except DamageError as problem:
        raise ModelError("a TensorFlow checkpoint", str(problem), where=index) from problem


def _open(index: Path) -> _Bundle:
    if index.stat().st_size > MOST_INDEX_BYTES:
        raise DamageError("an index of more than 16 MB")
    entries, shards = {}, 0
    for key, value in read_table(index.read_bytes()):
        if key:
            entries[text(key)] = _entry(value)
        else:
            header = dict(fields(value))
            shards = whole(header.get(1, 1))
            if header.get(2):
                raise DamageError("big-endian numbers")
        if len(entries) > MOST_ENTRIES:
            raise DamageError("an index of more than 100,000 variables")
    bundle = _Bundle(index, shards, entries)
    bundle.check_sizes()
    return bundle


def _entry(message: bytes) -> _Entry:
    numbers_by_field: dict[int, int] = {}
    shape: tuple[int, ...] = ()
    for number, value in fields(message):
        if number == 2:  # noqa: PLR2004 - BundleEntryProto.shape
            shape = _shape(raw(value))
        elif number == 7:  # noqa: PLR2004 - BundleEntryProto.slices
            raise DamageError("a variable in slices")
        else:
            numbers_by_field[number] = whole(value)
    numbers = (numbers_by_field.get(number, 0) for number in (3, 4, 5, 6))
    return _Entry(numbers_by_field.get(1, 0), shape, *numbers)


def _shape(message: bytes) -> tuple[int, ...]:
    dims = []
    for number, value in fields(message):
        if number == 2:  # noqa: PLR2004 - TensorShapeProto.dim
            dims.append(whole(dict(fields(raw(value))).get(1, 0)))
    if 0 in dims or len(dims) > MOST_AXES:
        raise DamageError(f"a variable of shape {tuple(dims)}")
    return tuple(dims)


def _variables(bundle: _Bundle) -> Iterator[Variable]:
    graph = bundle.entries.get(GRAPH)
    names = {} if graph is None else _names(_string(bundle, graph))
    keys = names or {key: key for key in sorted(bundle.entries, key=natural)}
    for key, name in keys.items():
        entry = bundle.entries.get(key)
        if entry is None or entry.dtype not in _FLOATS or _NOT_OF_LAYERS & set(key.split("/")):
            continue
        path, _, role = name.rpartition("/")
        layer = key.removesuffix(_VALUE).rpartition("/")[0]
        if names and _is_numbered(layer):
            layer = path  # a plain list of variables: their names alone tell the layers
        yield Variable(layer, path.rpartition("/")[2], role, _floats(bundle, key, entry))


def _is_numbered(layer: str) -> bool:
    return layer.rpartition("/")[2].endswith("variables")


def _floats(bundle: _Bundle, key: str, entry: _Entry) -> NDArray[np.generic]:
    dtype = _FLOATS[entry.dtype]
    if math.prod(entry.shape) * dtype.itemsize != entry.size:
        raise DamageError(f"{key} of shape {entry.shape} in {entry.size} bytes")
    content = bundle.content(entry)
    if masked(crc32c(content)) != entry.checksum:
        raise DamageError(f"{key} that does not match its checksum")
    return np.frombuffer(content, dtype).reshape(entry.shape)


def _string(bundle: _Bundle, entry: _Entry) -> bytes:
    """The one string of a variable: its length, the length's checksum, the bytes."""
    if entry.dtype != _STRING or entry.shape:
        raise DamageError("an object graph that is not one string")
    content = bundle.content(entry)
    length, at = varint(content, 0)
    if at + _WORD + length != len(content):
        raise DamageError("an object graph of another length")
    if masked(crc32c(length.to_bytes(_WORD, "little") + content[at:])) != entry.checksum:
        raise DamageError("an object graph that does not match its checksum")
    return content[at + _WORD :]


def _names(graph: bytes) -> dict[str, str]:
    """Full name by key, of every variable that can be reached, layer after layer."""
    nodes = [raw(value) for number, value in fields(graph) if number == 1]
    names: dict[str, str] = {}
    seen: set[int] = set()
    todo = [0] if nodes else []
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        children, variables = _node(nodes[at])
        names |= variables
        if any(child >= len(nodes) for child in children):
            raise DamageError("an object graph with a loose end")
        todo += reversed(children)
    return names


def _node(message: bytes) -> tuple[list[int], dict[str, str]]:
    """Numbers of a node's children, and the full names of its variables by key."""
    children, variables = [], {}
    for number, value in fields(message):
        if number == 1:
            children.append(whole(dict(fields(raw(value))).get(1, 0)))
        elif number == 2:  # noqa: PLR2004 - TrackableObject.attributes
            attribute = dict(fields(raw(value)))
            key = text(attribute.get(3, b""))
            variables[key] = text(attribute.get(2, b"")) or key.removesuffix(_VALUE)
    return children, variables

"""Arrays by name in a NumPy ``.npz`` file, such as a PyTorch state dictionary saved that way."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tools.keras_import.variables import Variable
from triaffect.errors import ModelError

MOST_BYTES = 1 << 30


def read_npz(path: Path) -> list[Variable]:
    """Arrays whose names are a layer's and a role, as ``conv1.weight`` or ``conv1/kernel``.

    Raises:
        ModelError: It is damaged, too large, or holds pickled objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
                raise ModelError("arrays of up to 1 GiB together", "more", where=path)
            return list(_variables(archive, path))
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError, EOFError) as problem:
        raise ModelError("a NumPy .npz file", f"a damaged one ({problem})", where=path) from problem


def refuse(path: Path) -> list[Variable]:
    """Say why a ``.npy`` or ``.pkl`` file is not opened.

    Raises:
        ModelError: Always.
    """
    raise ModelError(
        "weights as plain arrays by name",
        f"a {path.suffix} file, which holds them as a pickle, and that can run any program",
        "where you trust it, open it and write numpy.savez('weights.npz', **{'conv1.weight': …})",
        where=path,
    )


def _variables(archive: zipfile.ZipFile, where: Path) -> Iterator[Variable]:
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy").replace("/", ".")
        layer, _, role = name.rpartition(".")
        with archive.open(member) as stream:
            values = _array(stream, member, where)
        yield Variable(layer, layer.rpartition(".")[2], role, values)


def _array(stream: IO[bytes], member: zipfile.ZipInfo, where: Path) -> NDArray[np.generic]:
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_column, dtype = read_header(stream)
    if dtype.hasobject:
        raise ModelError(f"numbers in {member.filename}", "pickled objects", where=where)
    size = math.prod(shape) * dtype.itemsize
    if size > member.file_size:
        raise ModelError(f"{size} bytes of {member.filename}", "fewer", where=where)
    content = np.frombuffer(stream.read(size), dtype)
    return content.reshape(shape, order="F" if by_column else "C")

"""Keras's HDF5 files: weights alone or whole models of Keras 2, ``.weights.h5`` of Keras 3.

Keras 2 names its layers and their variables in attributes, in order; Keras 3 keeps every layer's
variables as ``…/vars/0``, ``…/vars/1``, and the layer's name in an attribute. What describes
the model or its optimiser is not looked at.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tools.keras_import.variables import Variable, natural
from triaffect.errors import ModelError

MEMBER = "model.weights.h5"
MOST_BYTES, MOST_VALUES = 1 << 30, 1 << 28
_VARS = "vars"
_NOT_OF_LAYERS = {"optimizer", "optimizer_weights"}


def read_hdf5(path: Path) -> list[Variable]:
    """Variables of a Keras HDF5 file, layer after layer.

    Raises:
        ModelError: It is no HDF5 file, damaged, or holds what Keras does not write.
    """
    return _read(path, path)


def read_keras(path: Path) -> list[Variable]:
    """Variables of a Keras 3 ``.keras`` file: a zip file with the weights as HDF5 in it.

    Raises:
        ModelError: It is no such file, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(MEMBER).file_size > MOST_BYTES:
                raise ModelError("weights of up to 1 GiB", "more", where=path)
            content = io.BytesIO(archive.read(MEMBER))
    except KeyError as problem:
        raise ModelError(f"a .keras file with {MEMBER}", "one without", where=path) from problem
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError) as problem:
        raise ModelError("a .keras file", f"a damaged one ({problem})", where=path) from problem
    return _read(content, path)


def _read(source: Path | io.BytesIO, where: Path) -> list[Variable]:
    try:
        with h5py.File(source, "r") as file:
            return list(_variables(file, where))
    except ModelError:
        raise
    except Exception as problem:  # h5py lets through whatever the HDF5 library meets
        got = f"another or a damaged file ({_one_line(problem)})"
        raise ModelError("a Keras HDF5 file", got, where=where) from problem


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split()) or type(problem).__name__


def _datasets(group: Any, where: Path) -> Iterator[Any]:  # noqa: ANN401 - h5py has no types
    """Every dataset below a group, in the order that Keras wrote down or would number them in."""
    named = _names(group, "layer_names") or _names(group, "weight_names")
    for name in named or sorted(group, key=natural):
        if name in _NOT_OF_LAYERS and group.name == "/":
            continue
        item = group[name]
        if item.file.filename != group.file.filename:
            raise ModelError("everything within the file", f"a link at {name}", where=where)
        if isinstance(item, h5py.Dataset):
            yield item
        else:
            yield from _datasets(item, where)


def _names(group: Any, key: str) -> list[str]:  # noqa: ANN401
    """A list among the attributes; Keras divides a long one into numbered pieces."""
    attributes = group.attrs
    keys = [key] if key in attributes else [f"{key}{n}" for n in range(len(attributes))]
    names = [
        name for each in keys if each in attributes for name in np.atleast_1d(attributes[each])
    ]
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names]


def _variables(file: Any, where: Path) -> Iterator[Variable]:  # noqa: ANN401
    """Every variable; a damaged or a forged file may claim more values than it holds."""
    total = 0
    for dataset in _datasets(file, where):
        total += dataset.nbytes
        if total > MOST_VALUES:
            raise ModelError("weights of up to 256 MiB", f"more at {dataset.name}", where=where)
        yield _variable(dataset, where)


def _variable(dataset: Any, where: Path) -> Variable:  # noqa: ANN401
    path, _, role = dataset.name.partition(":")[0].rpartition("/")
    name = path
    if path.endswith(f"/{_VARS}"):
        name = str(dataset.parent.attrs.get("name", path.removesuffix(f"/{_VARS}")))
    return Variable(path, name.rpartition("/")[2], role, _values(dataset, where))


def _values(dataset: Any, where: Path) -> NDArray[np.generic]:  # noqa: ANN401
    if dataset.external or dataset.is_virtual:
        raise ModelError("everything within the file", "a reference to another", where=where)
    if dataset.dtype.kind not in "fiub":
        raise ModelError(f"numbers in {dataset.name}", str(dataset.dtype), where=where)
    return np.asarray(dataset[()])

"""Which reader a weight file takes, by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tools.keras_import.bundle import INDEX, read_bundle
from tools.keras_import.hdf5 import read_hdf5, read_keras
from tools.keras_import.npz import read_npz, refuse
from tools.keras_import.variables import Variable
from triaffect.errors import ModelError

_READERS: dict[str, Callable[[Path], list[Variable]]] = {
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".keras": read_keras,
    INDEX: read_bundle,
    ".npz": read_npz,
    ".npy": refuse,
    ".pkl": refuse,
    ".pickle": refuse,
    ".pt": refuse,
    ".pth": refuse,
}
_SAVED_MODEL = Path("variables") / "variables.index"
FORMS = (
    ".h5, .hdf5, .keras, .npz, a checkpoint's .index file or its name without that, "
    "or the folder of a SavedModel or a checkpoint"
)


def read_variables(path: Path) -> list[Variable]:
    """The variables of a weight file of any known form.

    Args:
        path: A file, a checkpoint's name without ``.index``, or a SavedModel's folder.

    Raises:
        ModelError: There is no such file, it is of no known form, or it is damaged.
    """
    file = _in_folder(path) if path.is_dir() else _file(path)
    if not file.is_file():
        raise ModelError("a weight file", "no such file", where=path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise ModelError(FORMS, file.name, where=path)
    return reader(file)


def _in_folder(path: Path) -> Path:
    """The index of a SavedModel's variables, or of the one checkpoint in a folder."""
    saved, others = path / _SAVED_MODEL, sorted(path.glob(f"*{INDEX}"))
    if not saved.is_file() and len(others) != 1:
        got = f"a folder with {len(others)} .index files"
        raise ModelError("the folder of a SavedModel or one checkpoint", got, where=path)
    return saved if saved.is_file() else others[0]


def _file(path: Path) -> Path:
    """The file to open: a checkpoint's name, or its data, stands for its index."""
    stem, data, _ = path.name.rpartition(".data-")
    beside = path.with_name((stem if data else path.name) + INDEX)
    return beside if (data or not path.exists()) and beside.is_file() else path

"""What an extraction does on a node of a cluster, which need not share a disk with the parent.

A worker computes a job as everywhere, into files of a folder of its own, and sends these in
pieces: neither side needs memory for a long video. Networks come with the extraction and are
checked against their hashes; the corpus's files must be there, at the same path.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from triaffect.errors import TriaffectError
from triaffect.features.extraction_worker import Job, Outcome, Settings, Worker, spill_folder
from triaffect.features.extractors.registry import folder_of
from triaffect.features.model_folder import DESCRIPTION, load_model_folder

PIECE_BYTES = 4 * 2**20
DECIDING = ("triaffect", "av", "numpy", "onnxruntime", "opencv-python-headless")
"""Packages whose version may change a bit of a row."""

Message = tuple[str, bytes] | Outcome | TriaffectError
"""A piece of the file of that name; in the end the outcome, or why nothing can be computed."""


@dataclass(frozen=True)
class Parcel:
    """All that a node needs beside the corpus's files.

    Attributes:
        settings: The extraction, of which only corpus and extractors count there.
        networks: Files by name of the model folders of "face" and "voice" that have one.
        versions: Version by package that the parent has.
    """

    settings: Settings
    networks: dict[str, dict[str, bytes]]
    versions: dict[str, str]


def pack(settings: Settings) -> Parcel:
    """Put together what nodes need.

    Raises:
        ModelError: A model folder is missing, incomplete or changed.
    """
    names = {"face": settings.face, "voice": settings.voice}
    folders = {part: folder_of(name) for part, name in names.items()}
    networks = {part: _content(path) for part, path in folders.items() if path is not None}
    return Parcel(settings, networks, _versions())


def _content(path: Path) -> dict[str, bytes]:
    manifest = load_model_folder(path).manifest
    names = {DESCRIPTION, *manifest.files, *(part.file for part in manifest.parts.values())}
    return {name: (path / name).read_bytes() for name in names}


def _versions() -> dict[str, str]:
    return {package: version(package) for package in DECIDING}


class NodeWorker:
    """Computes jobs in one process of a node.

    Raises:
        TriaffectError: The node has other versions, or not the corpus.
        ModelError: A network does not work.
    """

    def __init__(self, parcel: Parcel) -> None:
        _check_node(parcel)
        _sweep()
        self._pending = Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-"))
        try:
            names = {
                part: str(_unpack(self._pending / part, content))
                for part, content in parcel.networks.items()
            }
            known = parcel.settings
            face, voice = names.get("face", known.face), names.get("voice", known.voice)
            self._compute = Worker(
                Settings(known.corpus, face, voice, self._pending), lambda: False
            )
        finally:
            shutil.rmtree(self._pending, ignore_errors=True)

    def messages(self, job: Job) -> Iterator[Message]:
        """Compute a job; give the pieces of its files in their order, then its outcome."""
        self._pending.mkdir(mode=0o700, exist_ok=True)
        try:
            outcome = self._compute(job)
            for path in sorted(spill_folder(self._pending, job.number).iterdir()):
                yield from _pieces(path)
        finally:
            shutil.rmtree(self._pending, ignore_errors=True)
        yield outcome  # last: with it the parent may end, and this process with that


def _pieces(path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            yield path.name, piece


def _check_node(parcel: Parcel) -> None:
    here = f"the machine {socket.gethostname()}"
    there = _versions()
    for package, wanted in parcel.versions.items():
        if there[package] != wanted:
            remedy = "install the same versions on every machine"
            raise TriaffectError(f"{package} {wanted}", there[package], remedy, where=here)
    root = parcel.settings.corpus.root
    if not root.exists():
        remedy = "mount or copy it to the same path on every machine"
        raise TriaffectError(f"the corpus at {root}", "no such file or folder", remedy, where=here)


def _unpack(folder: Path, content: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def _prefix() -> str:
    """Of the folders that workers of this machine keep rows in; the host tells containers apart."""
    return f"triaffect-rows-{socket.gethostname()}-"


def _sweep() -> None:
    """Remove what killed workers left."""
    for path in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        pid = path.name.removeprefix(_prefix()).split("-")[0]
        if pid.isdigit() and not _lives(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

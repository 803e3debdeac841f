"""Many files to one table: in parallel, in order, and going on where it was interrupted.

Each finished file's rows are kept in ``<output>.parts/`` under a name made of the path, size and
time of change of the file, and of the model, the device, the version and the options;
what is there already is not computed again. When all is done they are joined in the order of the
inputs and the folder is removed, so the table does not depend on the number of processes.
"""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from triaffect import __version__
from triaffect.errors import MediaError, ModelError, TriaffectError
from triaffect.features.model_folder import DESCRIPTION, file_hash
from triaffect.features.pool import Stopped, Work
from triaffect.features.session import CPU
from triaffect.inference.options import DEFAULT, Options
from triaffect.inference.output import check_output, table_writer
from triaffect.inference.predictor import PartialMediaWarning, Predictor
from triaffect.media.suffixes import MEDIA

Told = Callable[[int, str], None]
"""Told how many files are done, and a word about what is going on."""


@dataclass(frozen=True)
class FileResult:
    """What became of one input.

    Attributes:
        path: The input as given.
        rows: Rows of the table that are its.
        error: Why it failed; None if it did not.
        problem: What was lost of a file that is broken or cut off; empty for a whole one.
    """

    path: Path
    rows: int = 0
    error: TriaffectError | None = None
    problem: str = ""


@dataclass(frozen=True)
class Settings:
    """What all files have in common; sent to each process.

    Attributes:
        model: Model folder.
        device: Where its networks run.
        parts: Folder of the finished files' rows.
        options: What to predict of a file, and how closely to look.
        identity: What a part depends on apart from its file.
    """

    model: Path
    device: str
    parts: Path
    options: Options = DEFAULT
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        model = file_hash(self.model / DESCRIPTION)  # which holds the hashes of the networks
        identity = f"{__version__} {self.device} {model} {self.options}"
        object.__setattr__(self, "identity", identity)

    def part(self, path: Path) -> Path:
        """Where the rows of a file are kept."""
        state = path.stat() if path.exists() else None
        size, changed = (state.st_size, state.st_mtime_ns) if state else (0, 0)
        name = f"{self.identity}\n{path}\n{path.absolute()}\n{size}\n{changed}"
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.parts / f"{digest[:32]}.parquet"


def find_media(inputs: Sequence[Path]) -> list[Path]:
    """The files that inputs name: a file itself, a folder's media files, its folders' too.

    Returns:
        Each file once, inputs in the order given, the files of a folder sorted.

    Raises:
        MediaError: A folder holds none.
    """
    found: dict[Path, None] = {}
    for given in inputs:
        if not given.is_dir():
            found[given] = None
            continue
        inside = [p for p in given.rglob("*") if p.suffix.lower() in MEDIA and p.is_file()]
        if not inside:
            raise MediaError("a folder with videos, images or sounds", "none in it", where=given)
        found.update(dict.fromkeys(sorted(inside)))
    return list(found)


def predict_files(
    files: Sequence[Path],
    output: Path,
    model: Path,
    device: str = CPU,
    jobs: int = 1,
    told: Told | None = None,
    listener: Callable[[pa.Table], None] | None = None,
    options: Options = DEFAULT,
) -> list[FileResult]:
    """Predict files into one table.

    Args:
        files: Videos, pictures, sounds.
        output: The table, ``.csv`` or ``.parquet``; not written if every file failed.
        model: Model folder.
        device: "cpu" or "cuda".
        jobs: Processes; with 1 all is done in this one.
        told: Told of progress.
        listener: Given the rows of each file that did not fail, in order.
        options: What to predict of a file; without sound, files of sound alone fail.

    Returns:
        What became of each file, in order. A file that fails does not stop the others.

    Raises:
        TableError: The output cannot be written there.
        ModelError: The model or the device does not work.
    """
    check_output(output)
    # before any work: does the model load?
    schema = Predictor(model, device, options=options).schema
    settings = Settings(model, device, output.with_name(output.name + ".parts"), options)
    settings.parts.mkdir(exist_ok=True)
    results = []
    for result in _results(files, settings, jobs, told or _no_one):
        results.append(result)
        (told or _no_one)(len(results), result.path.name)
    if any(result.error is None for result in results):
        _join(results, settings, output, schema, listener)
    shutil.rmtree(settings.parts)
    return results


def _no_one(done: int, word: str) -> None:
    """Nobody wants to be told."""


def _results(
    files: Sequence[Path], settings: Settings, jobs: int, told: Told
) -> Iterator[FileResult]:
    """Results in order; those that are there from an interrupted run come without work."""
    there = {path: found for path in files if (found := _kept(settings, path)) is not None}
    todo = [path for path in files if path not in there]
    alone = jobs <= 1 or len(todo) <= 1
    start = partial(_Worker, settings, told if alone else None, len(there))
    work = Work(start, _died).results(todo, jobs)
    for path in files:
        yield there[path] if path in there else next(work)


def _kept(settings: Settings, path: Path) -> FileResult | None:
    part = settings.part(path)
    if not part.exists():
        return None
    told = _problem_file(part)
    problem = told.read_text("utf-8") if told.exists() else ""
    return FileResult(path, pyarrow.parquet.read_metadata(part).num_rows, problem=problem)


def _problem_file(part: Path) -> Path:
    return part.with_suffix(".txt")


class _Worker:
    """Predicts file after file in one process.

    Args:
        settings: What the files have in common.
        told: Told how far a file is; None in a process that nobody listens to.
        done: Files that were done before.
        wanted: Tells whether anybody still wants the results.
    """

    def __init__(
        self, settings: Settings, told: Told | None, done: int, wanted: Callable[[], bool]
    ) -> None:
        self._settings, self._told, self._done, self._wanted = settings, told, done, wanted
        self._predictor = Predictor(settings.model, settings.device, options=settings.options)

    def __call__(self, path: Path) -> FileResult:
        """Predict one file; only what would fail for every file is raised."""
        self._done += 1
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", PartialMediaWarning)
                return self._predict(path, caught)
        except (ModelError, Stopped):
            raise
        except TriaffectError as error:
            return FileResult(path, error=error)
        except Exception as error:  # a decoder's surprise must not end a night's work
            got = f"{type(error).__name__}: {error}"
            return FileResult(path, error=MediaError("a file that can be read", got, where=path))

    def _predict(self, path: Path, caught: list[warnings.WarningMessage]) -> FileResult:
        rows, part = 0, self._settings.part(path)
        with (
            closing(self._predictor.tables(path)) as tables,
            table_writer(part, self._predictor.schema) as append,
        ):
            for table in tables:
                if not self._wanted():
                    raise Stopped
                append(table)
                rows += len(table)
                if self._told:
                    at_s = table["time_s"][-1].as_py()
                    self._told(self._done - 1, f"{path.name}, at {at_s:.0f} s")
            problem = "; ".join(str(warning.message) for warning in caught)
            if problem:
                _problem_file(part).write_text(problem, "utf-8")
        return FileResult(path, rows, problem=problem)


def _died(path: Path) -> FileResult:
    got = "the process died of it: out of memory, or a fault in a decoder"
    return FileResult(path, error=MediaError("a file that can be read", got, where=path))


def _join(
    results: Sequence[FileResult],
    settings: Settings,
    output: Path,
    schema: pa.Schema,
    listener: Callable[[pa.Table], None] | None,
) -> None:
    with table_writer(output, schema) as append:
        for part in (settings.part(result.path) for result in results if result.error is None):
            with pyarrow.parquet.ParquetFile(part) as rows:
                for batch in rows.iter_batches():
                    append(pa.Table.from_batches([batch], schema))
            if listener:
                listener(pyarrow.parquet.read_table(part))

"""Many files to one table: in parallel, in order, and going on where it was interrupted.

Each finished file's rows are kept in ``<output>.parts/`` under a name made of the path, size and
time of change of the file, and of the model, the device, the version and the options;
what is there already is not computed again. When all is done they are joined in the order of the
inputs, so the table does not depend on the number of processes, and the folder is removed unless
a file failed: the same command then tries the failed ones alone.

Ctrl-C leaves the parts there, and what they hold, with the rows of the files that were begun, in
a partial table, ``t.partial.csv`` for ``t.csv``, until the same work is done again and ends.
"""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import parent_process
from pathlib import Path

import cv2
import pyarrow as pa
import pyarrow.parquet

from triaffect.errors import DiskError, MediaError, ModelError, TriaffectError
from triaffect.features.extractors.session import CPU
from triaffect.features.model_folder import DESCRIPTION, file_hash
from triaffect.io.atomic import make_folder, write_text
from triaffect.io.workers import Cancelled, WorkerPool
from triaffect.prediction.inputs import SINGLE_FILES, Opening
from triaffect.prediction.options import DEFAULT, Options
from triaffect.prediction.predictor import PartialMediaWarning, Predictor
from triaffect.tables.metadata import about_run
from triaffect.tables.postprocess import PLAIN, TableForm, check_outputs, form_writer, formed
from triaffect.tables.results import (
    FileResult,
    Interrupted,
    State,
    meta_name,
    partial_name,
    problems,
)
from triaffect.tables.writers import table_writer
from triaffect.version import __version__

_ROWS_AT_ONCE = 4096
"""Rows of a finished file that are held at a time."""

Told = Callable[[int, str], None]
"""Told how many files are done, and a word about what is going on."""

Listener = Callable[[pa.Table, Path], None]
"""Given the next rows, and the file that they are of."""


@dataclass(frozen=True)
class Settings:
    """What all files have in common; sent to each process.

    Attributes:
        model: Model folder.
        device: Where its networks run.
        parts: Folder of the finished files' rows.
        options: What to predict of a file, and how closely to look.
        opening: How inputs that are no single files are read.
        identity: What a part depends on apart from its file.
    """

    model: Path
    device: str
    parts: Path
    options: Options = DEFAULT
    opening: Opening = SINGLE_FILES
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        model = file_hash(self.model / DESCRIPTION)  # which holds the hashes of the networks
        identity = f"{__version__} {self.device} {model} {self.options}"
        object.__setattr__(self, "identity", identity)

    def part(self, path: Path) -> Path:
        """Where the rows of a finished file are kept."""
        name = f"{self.identity}\n{path}\n{path.absolute()}\n{self.opening.state(path)}"
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.parts / f"{digest[:32]}.parquet"


def predict_files(
    files: Sequence[Path],
    output: Path,
    model: Path,
    device: str = CPU,
    jobs: int = 1,
    *,
    told: Told | None = None,
    listeners: Sequence[Listener] = (),
    options: Options = DEFAULT,
    form: TableForm = PLAIN,
    opening: Opening = SINGLE_FILES,
) -> list[FileResult]:
    """Predict files into one table.

    Args:
        files: Videos, pictures, sounds.
        output: The table, ``.csv``, ``.parquet`` or ``.jsonl``; not written if every file failed.
        model: Model folder.
        device: "cpu" or "cuda".
        jobs: Processes; with 1 all is done in this one.
        told: Told of progress.
        listeners: Given the rows of the files that did not fail, part by part, in order, once the
            table is written.
        options: What to predict of a file; without sound, files of sound alone fail.
        form: How the table is written; parts that are there serve any form.
        opening: How inputs that are no single files are read.

    Returns:
        What became of each file, in order. A file that fails does not stop the others.

    Raises:
        TableError: The output cannot be written there.
        ModelError: The model or the device does not work.
        DiskError: There is no room; what was finished is kept.
        Interrupted: Ctrl-C; what was done is kept in a partial table.
    """
    check_outputs(output, form)
    predictor = Predictor(model, device, options=options)  # before any work: does the model load?
    parts = output.with_name(output.name + ".parts")
    settings = Settings(model, device, parts, options, opening)
    make_folder(settings.parts)
    results: list[FileResult] = []
    try:
        with closing(_results(files, settings, jobs, told or _no_one)) as finished:
            for result in finished:
                results.append(result)
                (told or _no_one)(len(results), result.path.name)
    except KeyboardInterrupt:
        raise _interrupted(files, results, settings, output, predictor, form) from None
    failed = [result.error is not None for result in results]
    if not all(failed):
        _join(results, settings, output, predictor, form)
        _show(results, settings, predictor, form, told or _no_one, listeners)
    if all(failed) or not any(failed):  # else those that failed can be tried again alone
        shutil.rmtree(settings.parts)
    for old in (partial_name(output), meta_name(partial_name(output))):
        old.unlink(missing_ok=True)
    return results


def _interrupted(
    files: Sequence[Path],
    results: Sequence[FileResult],
    settings: Settings,
    output: Path,
    predictor: Predictor,
    form: TableForm,
) -> Interrupted:
    """Keep what there is when Ctrl-C comes."""
    failed = {result.path: result for result in results if result.error}
    known = [failed.get(path) or _kept(settings, path) or _begun(settings, path) for path in files]
    if not any(result.rows for result in known):
        return Interrupted(None, known)
    partial_output = partial_name(output)
    _join(known, settings, partial_output, predictor, replace(form, summary=None))
    return Interrupted(partial_output, known)


def _show(
    results: Sequence[FileResult],
    settings: Settings,
    predictor: Predictor,
    form: TableForm,
    told: Told,
    listeners: Sequence[Listener],
) -> None:
    """Give all rows to the listeners, once nothing that they do can harm the table."""
    ours = replace(form, columns=None)
    for result in results if listeners else ():
        if result.error is None:
            told(len(results), f"drawing {result.path.name}")
            for table in formed(_rows(settings.part(result.path)), ours, predictor.tasks):
                for listener in listeners:
                    listener(table, result.path)


def _no_one(done: int, word: str) -> None:
    """Nobody wants to be told."""


def _results(
    files: Sequence[Path], settings: Settings, jobs: int, told: Told
) -> Generator[FileResult]:
    """Results in order; those that are there from an interrupted run come without work."""
    there = {path: found for path in files if (found := _kept(settings, path)) is not None}
    todo = [path for path in files if path not in there]
    alone = jobs <= 1 or len(todo) <= 1
    start = partial(_Worker, settings, told if alone else None, len(there))
    work = WorkerPool(start, _died).results(todo, jobs)
    for path in files:
        yield there[path] if path in there else next(work)


def _kept(settings: Settings, path: Path) -> FileResult | None:
    part = settings.part(path)
    if not part.exists():
        return None
    told = _problem_file(part)
    problem = told.read_text("utf-8") if told.exists() else ""
    return FileResult(path, pyarrow.parquet.read_metadata(part).num_rows, problem=problem)


def _begun(settings: Settings, path: Path) -> FileResult:
    """What an interruption left of a file that was not finished."""
    there = _unfinished(settings.part(path))
    if not there.exists():
        return FileResult(path, stopped=State.NOT_STARTED)
    rows = pyarrow.parquet.read_metadata(there).num_rows
    return FileResult(path, rows, stopped=State.INTERRUPTED)


def _unfinished(part: Path) -> Path:
    """Where the rows of a file are until it is finished."""
    return part.with_suffix(".begun.parquet")


def _problem_file(part: Path) -> Path:
    return part.with_suffix(".txt")


class _Worker:
    """Predicts file after file in one process.

    Args:
        settings: What the files have in common.
        told: Told how far a file is; None in a process that nobody listens to.
        done: Files that were done before.
        is_cancelled: Returns whether the results are no longer needed.
    """

    def __init__(
        self, settings: Settings, told: Told | None, done: int, is_cancelled: Callable[[], bool]
    ) -> None:
        self._settings, self._told, self._done, self._is_cancelled = (
            settings,
            told,
            done,
            is_cancelled,
        )
        if parent_process():  # several share the cores: each keeps to one
            cv2.setNumThreads(1)
        self._predictor = Predictor(settings.model, settings.device, options=settings.options)

    def __call__(self, path: Path) -> FileResult:
        """Predict one file; only what would fail for every file is raised."""
        self._done += 1
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", PartialMediaWarning)
                return self._predict(path, caught)
        except (ModelError, DiskError, Cancelled):
            raise
        except TriaffectError as error:
            return FileResult(path, error=error)

    def _predict(self, path: Path, caught: list[warnings.WarningMessage]) -> FileResult:
        part = self._settings.part(path)
        rows, broken, stop = 0, "", None
        with (
            closing(self._tables(path)) as tables,
            table_writer(_unfinished(part), self._predictor.schema) as append,
        ):
            try:
                for table in tables:
                    append(table)
                    rows += len(table)
                    self._tell(path, table)
            except MediaError as error:
                if not rows:
                    raise
                broken = str(error)
            except (KeyboardInterrupt, Cancelled) as error:
                stop = error  # what was done is kept, and then it goes on
        if stop:
            raise stop
        problem = "; ".join(
            [*(str(warning.message) for warning in caught), *filter(None, [broken])]
        )
        if problem:
            write_text(_problem_file(part), problem)
        _unfinished(part).replace(part)
        return FileResult(path, rows, problem=problem)

    def _tables(self, path: Path) -> Generator[pa.Table]:
        try:
            with closing(self._settings.opening.tables(self._predictor, path)) as tables:
                for table in tables:
                    if self._is_cancelled():
                        raise Cancelled
                    yield table
        except (TriaffectError, Cancelled):
            raise
        except Exception as error:  # a decoder's surprise must not end a night's work
            got = f"{type(error).__name__}: {error}"
            raise MediaError("a file that can be read", got, where=path) from error

    def _tell(self, path: Path, table: pa.Table) -> None:
        if self._told:
            at_s = table["time_s"][-1].as_py()
            self._told(self._done - 1, f"{path.name}, at {at_s:.0f} s")


def _died(path: Path) -> FileResult:
    got = "the process died of it: out of memory, or a fault in a decoder"
    return FileResult(path, error=MediaError("a file that can be read", got, where=path))


def _join(
    results: Sequence[FileResult],
    settings: Settings,
    output: Path,
    predictor: Predictor,
    form: TableForm,
) -> None:
    tasks = [task.with_thresholds(predictor.thresholds) for task in predictor.tasks]
    options = {"device": settings.device, **asdict(settings.options), **form.options()}
    about = about_run(settings.model, options, tasks, problems(results))
    with form_writer(output, predictor.schema, form, tasks, about) as add:
        for result in (result for result in results if result.rows):
            part = settings.part(result.path)
            part = _unfinished(part) if result.stopped else part
            add(partial(_rows, part))


def _rows(part: Path) -> Iterator[pa.Table]:
    """The rows of a finished file, in pieces."""
    # buffered ahead, the whole file would be held until its end
    with pyarrow.parquet.ParquetFile(part, pre_buffer=False) as rows:
        for batch in rows.iter_batches(_ROWS_AT_ONCE):
            yield pa.Table.from_batches([batch])

"""Predict files into one table, in one pass over each: prepare, forward, postprocess.

*Prepare* opens an input, *forward* yields its rows as the predictor computes them, *postprocess*
takes them, smoothed and compared with a baseline if that is wanted, to every output: the table,
its summary, a page, an annotated copy.

The rows of a single input go straight to the outputs. Of several inputs, each finished one's rows
are kept in ``<output>.parts/`` under a name made of the path, size and time of change of the
file, and of the model, the device, the version and the options; what is there already is not
computed again. From there they go to the outputs in the order of the inputs, so the table does
not depend on the number of processes. The folder is removed at the end unless a file failed: the
same command then tries the failed ones alone.

Ctrl-C leaves the parts there, and what they hold, with the rows of the files that were begun, in
a partial table, ``t.partial.csv`` for ``t.csv``, until the same work is done again and ends.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet

from triaffect.errors import DiskError, MediaError, ModelError, TriaffectError
from triaffect.features.model_folder import DESCRIPTION, file_hash, load_model_folder
from triaffect.io.atomic import lock_output, make_folder, write_text
from triaffect.io.engines import Engine, Processes, Workload, machine_name
from triaffect.io.onnx_session import CPU
from triaffect.io.workers import Cancelled
from triaffect.media.find import webcam_number
from triaffect.media.images import FrameSource, one_opencv_thread
from triaffect.media.probe import MediaFile
from triaffect.prediction.external_features import FeatureFiles, feature_state
from triaffect.prediction.inputs import DEFAULT_INPUTS, InputOptions, input_size
from triaffect.prediction.options import DEFAULT, Options
from triaffect.prediction.predictor import (
    DoubtfulMediaWarning,
    PartialMediaWarning,
    Predictor,
)
from triaffect.tables.interop import rename_columns
from triaffect.tables.metadata import column_notes, describe_run
from triaffect.tables.postprocess import (
    PLAIN,
    Postprocessing,
    check_outputs,
    postprocess,
    postprocess_schema,
)
from triaffect.tables.results import (
    FileResult,
    Interrupted,
    State,
    meta_name,
    partial_name,
    problems,
)
from triaffect.tables.summary import ClipSummary, summary_schema
from triaffect.tables.writers import TableWriter
from triaffect.version import __version__

_ROWS_AT_ONCE = 4096
"""Rows of a finished file that are held at a time."""

_PROBLEM_SUFFIX, _REMARK_SUFFIX = ".txt", ".remark.txt"
"""Beside a part, files that say what was lost of a broken input, and what is doubtful."""

_ALMOST = 0.999
"""The largest share of a file before all of its rows are written."""

BatchProgress = Callable[[float, str], None]
"""Called with how many inputs are done, and a message; a fraction is that of the current one."""


def _ignore(done: float, message: str) -> None:
    """Show no progress."""


Listener = Callable[[pa.Table, Path], None]
"""Called with the next rows, and the file that they are of."""


class FrameListener(Protocol):
    """What takes rows as they are predicted, and the frames that they are of."""

    def open(self, source: MediaFile | FrameSource, options: Options) -> None:
        """Prepare for the rows of an input that is about to be read.

        Args:
            source: The input; its frames can be read beside the prediction.
            options: Those of the prediction, such as where it starts and ends.
        """

    def add(self, table: pa.Table, path: Path) -> None:
        """Take the next rows of a file, opened before or not.

        Args:
            table: Rows as predicted, before any postprocessing.
            path: The input that they are of.
        """


@dataclass(frozen=True)
class PredictionJob:
    """What to predict with, and what to write; the same for all files, sent to each process.

    Attributes:
        output: The table, ``.csv``, ``.parquet`` or ``.jsonl``; what is there is replaced.
        model: Model folder.
        device: Where its networks run, "cpu" or "cuda".
        options: What to predict of a file; without sound, files of sound alone fail.
        postprocessing: How the table is postprocessed; parts that are there serve any form.
        inputs: How inputs that are no single files are read.
        features: Files of the features of other programs that the model reads, by name.
        passed_over: Files of the inputs that are not read, for the table's metadata.
    """

    output: Path
    model: Path
    device: str = CPU
    options: Options = DEFAULT
    postprocessing: Postprocessing = PLAIN
    inputs: InputOptions = DEFAULT_INPUTS
    features: FeatureFiles | None = None
    passed_over: tuple[Path, ...] = ()

    def load(self) -> Predictor:
        """Load the model.

        Returns:
            A predictor with the job's options; each process has its own.

        Raises:
            ModelError: The model or the device does not work.
        """
        return Predictor(self.model, self.device, options=self.options, features=self.features)

    @property
    def parts(self) -> Path:
        """Folder of the finished files' rows."""
        return self.output.with_name(self.output.name + ".parts")

    @cached_property
    def _identity(self) -> str:
        """What a part depends on apart from its file; the model's description has hashes of all."""
        model = file_hash(self.model / DESCRIPTION)
        features = feature_state(self.features)
        return f"{__version__} {self.device} {model} {self.options}{features}"

    def part(self, path: Path) -> Path:
        """Return where the rows of a finished file are stored.

        Args:
            path: The input.

        Returns:
            A path that changes with the input's size and time of change, the model, the device,
            the options and the version.
        """
        name = f"{self._identity}\n{path}\n{path.absolute()}\n{self.inputs.state(path)}"
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.parts / f"{digest[:32]}.parquet"


def predict_files(
    files: Sequence[Path],
    job: PredictionJob,
    jobs: int = 1,
    *,
    engine: Engine | None = None,
    predictor: Predictor | None = None,
    progress: BatchProgress = _ignore,
    listeners: Sequence[Listener] = (),
    frame_listener: FrameListener | None = None,
) -> list[FileResult]:
    """Predict files into one table.

    Args:
        files: Videos, pictures, sounds.
        job: What to predict with, and what to write. No table is written if every file failed.
        jobs: Processes; with 1 all is done in this one.
        engine: What computes in place of processes of this machine; the table is the same.
        predictor: The job's model if it is loaded already.
        progress: Called after each piece of work.
        listeners: Get the postprocessed rows of the files that do not fail, in order, under our
            own column names.
        frame_listener: Gets their rows as predicted; of a single file, its frames too.

    Returns:
        What became of each file, in order. A file that fails does not stop the others.

    Raises:
        TableError: The output cannot be written there, or features fit several files.
        ModelError: The model or the device does not work, or it lacks features that it reads.
        DiskError: There is no room, and what was finished is kept; or another run is writing it.
        TriaffectError: The engine cannot compute.
        Interrupted: Ctrl-C; what was done is kept in a partial table.
    """
    if engine is not None and (
        webcams := [each for each in files if webcam_number(each) is not None]
    ):
        remedy = "leave --engine out"
        raise MediaError("files, for other machines", "a webcam", remedy, where=webcams[0])
    check_outputs(job.output, job.postprocessing)
    predictor = predictor or job.load()  # before any work: does it load?
    predictor.features.check(files)
    with ExitStack() as locks:
        for output in filter(None, (job.output, job.postprocessing.summary)):
            locks.enter_context(lock_output(output))
        return _predict_locked(
            files, job, predictor, engine or Processes(jobs), progress, (listeners, frame_listener)
        )


def _predict_locked(
    files: Sequence[Path],
    job: PredictionJob,
    predictor: Predictor,
    engine: Engine,
    progress: BatchProgress,
    listening: tuple[Sequence[Listener], FrameListener | None],
) -> list[FileResult]:
    """Predict files into one table that no other process writes; see `predict_files`."""
    # What an earlier command with this output has left in the folder is used and tidied up.
    is_local = isinstance(engine, Processes)
    several = len(files) > 1 or not is_local or job.parts.exists()
    results: list[FileResult] = []
    try:
        with PredictionOutputs(job, predictor, *listening) as outputs:
            if several:
                for result in _predict_several(files, job, predictor, outputs, engine, progress):
                    results.append(result)
                    progress(len(results), result.path.name)
            else:
                results.append(_predict_one(files[0], job, predictor, outputs, progress))
            outputs.finish(results)
    except KeyboardInterrupt:
        if several:
            raise _keep_parts(files, results, job, predictor) from None
        raise
    if any(result.stopped for result in results):
        output = partial_name(job.output) if results[0].rows else None
        raise Interrupted(output, results)
    if several:
        failed = [result.error is not None for result in results]
        if all(failed) or not any(failed):  # else those that failed can be tried again alone
            shutil.rmtree(job.parts)
    for old in (partial_name(job.output), meta_name(partial_name(job.output))):
        old.unlink(missing_ok=True)
    return results


class PredictionOutputs:
    """Postprocesses rows as they come, and takes them to every output.

    To be used in a ``with`` statement: the files are whole or not there.

    Args:
        job: What to write.
        predictor: Whose rows come.
        listeners: Get the postprocessed rows.
        frame_listener: Gets the rows as predicted.
    """

    def __init__(
        self,
        job: PredictionJob,
        predictor: Predictor,
        listeners: Sequence[Listener] = (),
        frame_listener: FrameListener | None = None,
    ) -> None:
        self._job, self.frame_listener = job, frame_listener
        self._postprocessing = job.postprocessing
        self._tasks = [task.with_thresholds(predictor.thresholds) for task in predictor.tasks]
        self._outputs = predictor.manifest.outputs
        self._listeners = list(listeners)
        self._problem: TriaffectError | None = None
        self._files = ExitStack()
        self._schema = postprocess_schema(predictor.schema, self._postprocessing, self._tasks)
        self._table = self._files.enter_context(TableWriter(job.output, self._schema))
        self._summary: TableWriter | None = None
        if self._postprocessing.summary:
            schema = summary_schema(self._tasks)
            self._summary = self._files.enter_context(
                TableWriter(self._postprocessing.summary, schema)
            )

    def __enter__(self) -> PredictionOutputs:
        """Return the outputs."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the files where they go, or throw them away after an error."""
        self._files.__exit__(kind, error, trace)
        if error is None and self._problem is not None:
            raise self._problem

    @property
    def rows(self) -> int:
        """How many rows the table got."""
        return self._table.rows

    def add(self, rows: Iterable[pa.Table], path: Path) -> None:
        """Postprocess the rows of one input.

        Args:
            rows: As predicted.
            path: The input.

        Raises:
            TriaffectError: What computing the rows raises, or an output cannot be written.
        """
        summary = ClipSummary(self._tasks)
        postprocessing = replace(self._postprocessing, columns=None)  # listeners know our own names
        for table in postprocess(self._observed(rows, path, summary), postprocessing, self._tasks):
            columns = self._postprocessing.columns
            self._table.append(rename_columns(table, columns, self._tasks) if columns else table)
            for listener in tuple(self._listeners):
                self._call(listener, table, path)
        if self._summary and (rows_of_faces := summary.rows()):
            self._summary.append(pa.Table.from_pylist(rows_of_faces, summary_schema(self._tasks)))

    def _observed(
        self, rows: Iterable[pa.Table], path: Path, summary: ClipSummary
    ) -> Iterator[pa.Table]:
        """Yield the rows once those have seen them who need them as predicted."""
        for table in rows:
            if self._summary:
                summary.add(table)
            if self.frame_listener:
                self._call(self.frame_listener.add, table, path)
            yield table

    def _call(self, listener: Listener, table: pa.Table, path: Path) -> None:
        """Call a listener; nothing that goes wrong there harms the table, it is told at the end."""
        try:
            listener(table, path)
        except TriaffectError as error:
            self._problem = self._problem or error
            self._listeners = [each for each in self._listeners if each != listener]
            if self.frame_listener and listener == self.frame_listener.add:
                self.frame_listener = None

    def finish(self, results: Sequence[FileResult]) -> None:
        """Describe the table by what became of the inputs; without any that can be read, drop it.

        The table of interrupted work is a partial one, without a summary.

        Args:
            results: What became of each input, in order.
        """
        job = self._job
        options = {"device": job.device, **asdict(job.options), **self._postprocessing.options()}
        unread = [FileResult(path, stopped=State.PASSED_OVER) for path in job.passed_over]
        missing = problems([*results, *unread])
        metadata = describe_run(job.model, options, self._tasks, missing)
        notes = {
            "columns": column_notes(self._schema, self._postprocessing, self._tasks, self._outputs)
        }
        self._table.metadata = {**metadata, **notes}
        is_partial = any(result.stopped for result in results)
        if is_partial:
            self._table.path = partial_name(job.output)
        if all(result.error for result in results) or (is_partial and not self._table.rows):
            self._table.discard()
        if self._summary:
            self._summary.metadata = metadata
            if is_partial or all(result.error for result in results):
                self._summary.discard()


@dataclass
class FileRows:
    """The rows of one input as they are computed, and afterwards what became of it.

    Attributes:
        predictor: Computes them.
        job: How.
        path: The input.
        progress: Called with the share that is done, if that is clear, and a message.
        is_cancelled: Tells that nobody needs the rows any more.
        open_with: Gets the opened source before it is read.
        problem: After a loop: what was lost of a file that is broken or cut off.
        remark: After a loop: what is doubtful in how it was read.
        stopped: After a loop: the interruption that ended it.
    """

    predictor: Predictor
    job: PredictionJob
    path: Path
    progress: BatchProgress = _ignore
    is_cancelled: Callable[[], bool] | None = None
    open_with: FrameListener | None = None
    problem: str = ""
    remark: str = ""
    stopped: BaseException | None = field(default=None, init=False)

    def __iter__(self) -> Generator[pa.Table]:
        """Yield the rows; what was computed before an interruption or a fault comes first.

        Raises:
            MediaError: The file cannot be read, not even in part.
        """
        is_begun, lost = False, ""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PartialMediaWarning)
            warnings.simplefilter("always", DoubtfulMediaWarning)
            try:
                for table in self._forward():
                    is_begun = True
                    yield table
            except MediaError as error:
                if not is_begun:
                    raise
                lost = str(error)
            except (KeyboardInterrupt, Cancelled) as error:
                self.stopped = error
            for each in caught:
                if issubclass(each.category, DoubtfulMediaWarning):
                    self.remark = str(each.message)
                else:
                    lost = "; ".join(filter(None, [str(each.message), lost]))
            self.problem = lost

    def _forward(self) -> Generator[pa.Table]:
        try:
            with self.job.inputs.open(self.path) as source:
                if self.open_with:
                    self.open_with.open(source, self.job.options)
                with closing(self.predictor.predict_source(source)) as tables:
                    for table in tables:
                        if self.is_cancelled and self.is_cancelled():
                            raise Cancelled
                        yield table
                        at_s, duration_s = table["time_s"][-1].as_py(), source.duration_s
                        share = min(_ALMOST, at_s / duration_s) if duration_s else 0.0
                        of = f" of {_clock(duration_s)}" if duration_s else ""
                        self.progress(share, f"{self.path.name}, {_clock(at_s)}{of}")
        except (TriaffectError, Cancelled):
            raise
        except Exception as error:  # a decoder's surprise must not end a night's work
            got = f"{type(error).__name__}: {error}"
            raise MediaError("a file that can be read", got, where=self.path) from error


def _clock(seconds: float) -> str:
    """A time in a file, such as ``1:02:03`` or ``0:07``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _predict_one(
    path: Path,
    job: PredictionJob,
    predictor: Predictor,
    outputs: PredictionOutputs,
    progress: BatchProgress,
) -> FileResult:
    """Predict a single input straight into the outputs."""
    rows = FileRows(predictor, job, path, progress, open_with=outputs.frame_listener)
    try:
        with closing(iter(rows)) as tables:
            outputs.add(tables, path)
        progress(1, path.name)
    except KeyboardInterrupt as error:
        rows.stopped = error
    except (ModelError, DiskError):
        raise
    except TriaffectError as error:
        return FileResult(path, error=error)
    state = None
    if rows.stopped:
        state = State.INTERRUPTED if outputs.rows else State.NOT_STARTED
    return FileResult(path, outputs.rows, None, rows.problem, state, rows.remark)


def _predict_several(
    files: Sequence[Path],
    job: PredictionJob,
    predictor: Predictor,
    outputs: PredictionOutputs,
    engine: Engine,
    progress: BatchProgress,
) -> Generator[FileResult]:
    """Predict files into parts, and take each finished one's rows to the outputs, in order.

    Those that are there from an interrupted run come without work.
    """
    make_folder(job.parts)
    there = {path: part for path in files if (part := _finished_part(job, path)) is not None}
    todo = [path for path in files if path not in there]
    read = [*todo, *predictor.features.files.values()]
    workload = PredictionWork(
        job,
        {path: input_size(path) for path in read},
        features=tuple(predictor.features.files.values()),
        predictor=predictor,
        progress=progress,
        done=len(there),
    )
    with closing(engine.results(workload, todo)) as work:
        for path in files:
            result = there[path] if path in there else next(work)
            if result.error is None:
                outputs.add(_rows(job.part(path)), path)
            yield result


def _keep_parts(
    files: Sequence[Path], ended: Sequence[FileResult], job: PredictionJob, predictor: Predictor
) -> Interrupted:
    """Write what there is of several files into a partial table when Ctrl-C comes."""
    failed = {result.path: result for result in ended if result.error}
    results = []
    for path in files:
        result = failed.get(path) or _finished_part(job, path)
        begun = _begun_path(job.part(path))
        if result is None and begun.exists():
            rows = pyarrow.parquet.read_metadata(begun).num_rows
            result = FileResult(path, rows, stopped=State.INTERRUPTED)
        results.append(result or FileResult(path, stopped=State.NOT_STARTED))
    if not any(result.rows for result in results):
        return Interrupted(None, results)
    with PredictionOutputs(job, predictor) as outputs:
        for result in (result for result in results if result.rows):
            part = job.part(result.path)
            outputs.add(_rows(_begun_path(part) if result.stopped else part), result.path)
        outputs.finish(results)
    return Interrupted(partial_name(job.output), results)


def _finished_part(job: PredictionJob, path: Path) -> FileResult | None:
    part = job.part(path)
    if not part.exists():
        return None
    notes = (part.with_suffix(suffix) for suffix in (_PROBLEM_SUFFIX, _REMARK_SUFFIX))
    problem, remark = (note.read_text("utf-8") if note.exists() else "" for note in notes)
    rows = pyarrow.parquet.read_metadata(part).num_rows
    return FileResult(path, rows, problem=problem, remark=remark)


def _begun_path(part: Path) -> Path:
    """Where the rows of a file are until it is finished."""
    return part.with_suffix(".begun.parquet")


@dataclass(frozen=True)
class PredictionWork(Workload[Path, FileResult]):
    """The prediction of files into parts as a workload.

    Attributes:
        job: What the files have in common.
        sizes: Size of each file and of the features, None for one that is missing here: those of
            another machine must be the same.
        features: The files of external features.
        predictor: The job's model, for this process alone; None to load it.
        progress: Called with the number of files done, and a message; by this process alone.
        done: Files that were done before.
        node_part: On another machine, where the rows of a file are written.
        directory: What relative paths are relative to.
    """

    job: PredictionJob
    sizes: Mapping[Path, int | None]
    features: tuple[Path, ...] = ()
    predictor: Predictor | None = None
    progress: BatchProgress = _ignore
    done: int = 0
    node_part: Path | None = None
    directory: Path = field(default_factory=Path.cwd)

    def __getstate__(self) -> dict[str, object]:
        """Leave out what other processes cannot have: a loaded model, and the progress."""
        return {**vars(self), "predictor": None, "progress": _ignore}

    def start(self, is_cancelled: Callable[[], bool]) -> _Worker:
        """Load the model; see `Workload.start`."""
        return _Worker(self, is_cancelled)

    def died(self, item: Path) -> FileResult:
        """Make the result of a file that killed its process."""
        got = "the process died of it: out of memory, or a fault in a decoder"
        return FileResult(item, error=MediaError("a file that can be read", got, where=item))

    def pack(self) -> Mapping[str, bytes]:
        """Read the model folder; see `Workload.pack`."""
        return load_model_folder(self.job.model).read_networks()

    def on_node(self, packed: Path, output: Path) -> PredictionWork:
        """Return it with the model that came along; see `Workload.on_node`."""
        if self.directory.is_dir():  # else every path is absolute, or its file is missing
            os.chdir(self.directory)
        for path in self.features:
            self.check_same(path)
        return replace(self, job=replace(self.job, model=packed), node_part=output / "rows.parquet")

    def part(self, path: Path) -> Path:
        """Return where the rows of a file are written."""
        return self.node_part or self.job.part(path)

    def folder(self, item: Path) -> Path:
        """Name a folder of the file's own; see `Workload.folder`."""
        return self.node_part.parent if self.node_part else self.job.part(item).with_suffix("")

    def finish(self, item: Path, result: FileResult) -> None:
        """Move the rows of a file, and the note on what it lost, to its part."""
        part, folder = self.job.part(item), self.folder(item)
        if result.error is None:
            for file in sorted(folder.iterdir(), key=lambda file: file.suffix == part.suffix):
                file.replace(part.with_suffix(file.suffix))  # its rows last: they make it finished
        shutil.rmtree(folder, ignore_errors=True)

    def check_same(self, path: Path) -> None:
        """Check on another machine that a file is the one that the first machine has.

        Args:
            path: An input, or a file of features.

        Raises:
            MediaError: It is missing here, or of another size.
        """
        expected, size = self.sizes[path], input_size(path)
        if self.node_part and expected is not None and size != expected:
            got = f"{'no such file' if size is None else f'{size} bytes'} on {machine_name()}"
            remedy = "mount or copy it to the same path on every machine"
            raise MediaError(f"a file of {expected} bytes", got, remedy, where=path)


class _Worker:
    """Predicts file after file into parts, in one process.

    Args:
        work: What the files have in common.
        is_cancelled: Tells that nobody needs the results any more.
    """

    def __init__(self, work: PredictionWork, is_cancelled: Callable[[], bool]) -> None:
        self._work, self._is_cancelled = work, is_cancelled
        self._predictor = work.predictor or work.job.load()
        self._done = work.done

    def __call__(self, path: Path) -> FileResult:
        """Predict one file; only what would fail for every file is raised."""
        done, work = self._done, self._work
        self._done += 1
        rows = FileRows(
            self._predictor,
            work.job,
            path,
            lambda share, message: work.progress(done + share, message),
            self._is_cancelled,
        )
        part = work.part(path)
        begun, schema = _begun_path(part), self._predictor.schema
        # in a process of its own, several share the cores: each keeps to one
        threads = nullcontext() if work.predictor else one_opencv_thread()
        try:
            work.check_same(path)
            with threads, closing(iter(rows)) as tables, TableWriter(begun, schema) as writer:
                try:
                    for table in tables:
                        writer.append(table)
                except KeyboardInterrupt as error:  # what there is so far is a whole file
                    rows.stopped = error
            if rows.stopped:
                raise rows.stopped
            if rows.problem:
                write_text(part.with_suffix(_PROBLEM_SUFFIX), rows.problem)
            if rows.remark:
                write_text(part.with_suffix(_REMARK_SUFFIX), rows.remark)
            begun.replace(part)
        except (ModelError, DiskError, Cancelled):
            raise
        except TriaffectError as error:
            return FileResult(path, error=error)
        return FileResult(path, writer.rows, problem=rows.problem, remark=rows.remark)


def _rows(part: Path) -> Iterator[pa.Table]:
    """The rows of a finished file, in pieces."""
    # buffered ahead, the whole file would be held until its end
    with pyarrow.parquet.ParquetFile(part, pre_buffer=False) as rows:
        for batch in rows.iter_batches(_ROWS_AT_ONCE):
            yield pa.Table.from_batches([batch])

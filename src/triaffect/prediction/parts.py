"""The rows of each input, kept beside the table until all of them are there.

An input is computed by itself, pictures that follow one another together, in any process or on
another machine. The rows of one, or of some pictures, are a part: a Parquet file that is whole or
not there, whose metadata say of which inputs they are. An input's name there is made of the path,
size and time of change of the file, and of the model, the device, the version and the options; so
what was computed by an interrupted run is taken as long as none of them changed, whichever inputs
it was computed with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from triaffect.errors import DiskError, MediaError, ModelError, TriaffectError
from triaffect.features.model_folder import DESCRIPTION, file_hash, load_model_folder
from triaffect.io.engines import Workload, machine_name
from triaffect.io.onnx_session import CPU
from triaffect.io.workers import Cancelled
from triaffect.media.find import PICTURES
from triaffect.media.images import FrameSource, one_opencv_thread
from triaffect.media.probe import MediaFile
from triaffect.prediction.external_features import FeatureFiles, feature_state
from triaffect.prediction.inputs import DEFAULT_INPUTS, InputOptions, input_size
from triaffect.prediction.options import DEFAULT, Options
from triaffect.prediction.pictures import PICTURES_AT_ONCE, PictureFaces, is_picture
from triaffect.prediction.predictor import (
    DoubtfulMediaWarning,
    PartialMediaWarning,
    Predictor,
)
from triaffect.studies.study import PLAIN_STUDY, Study
from triaffect.tables.postprocess import PLAIN, Postprocessing
from triaffect.tables.results import FileResult
from triaffect.tables.writers import KEY, TableWriter
from triaffect.version import __version__

_ROWS_AT_ONCE = 4096
"""Rows of a finished file that are held at a time."""

_ALMOST = 0.999
"""The largest share of a file before all of its rows are written."""

_GROUPS_PER_PROCESS = 4
"""Groups of pictures that each process gets at least, so that none waits long for another."""

BatchProgress = Callable[[float, str], None]
"""Called with how many inputs are done, and a message; a fraction is that of the current one."""


def ignore_progress(done: float, message: str) -> None:
    """Show no progress; called as `BatchProgress`."""


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
        study: Who is in the files and what happened when; the summary goes by it.
        decimal_comma: Whether CSV files have decimal commas, and semicolons between cells.
    """

    output: Path
    model: Path
    device: str = CPU
    options: Options = DEFAULT
    postprocessing: Postprocessing = PLAIN
    inputs: InputOptions = DEFAULT_INPUTS
    features: FeatureFiles | None = None
    passed_over: tuple[Path, ...] = ()
    study: Study = PLAIN_STUDY
    decimal_comma: bool = False

    def load(self) -> Predictor:
        """Load the model.

        Returns:
            A predictor with the job's options; each process has its own.

        Raises:
            ModelError: The model or the device does not work.
        """
        return Predictor(self.model, self.device, options=self.options, features=self.features)

    @cached_property
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
        """Return where the rows of an input are stored that is computed by itself.

        Args:
            path: The input.

        Returns:
            A path whose name, that of the input among the parts, changes with the input's size and
            time of change, the model, the device, the options and the version.
        """
        absolute = os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118 - for each of thousands
        name = f"{self._identity}\n{path}\n{absolute}\n{self.inputs.state(path)}"
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.parts / f"{digest[:32]}.parquet"


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
    progress: BatchProgress = ignore_progress
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
        with media_errors(self.path), self.job.inputs.open(self.path) as source:
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


@contextmanager
def media_errors(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into an error that names the file: it ends no night's work.

    Args:
        path: The file that is read in the ``with`` statement.

    Raises:
        MediaError: It cannot be read.
    """
    try:
        yield
    except (TriaffectError, Cancelled):
        raise
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise MediaError("a file that can be read", got, where=path) from error


def _clock(seconds: float) -> str:
    """A time in a file, such as ``1:02:03`` or ``0:07``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


FileGroup = tuple[Path, ...]
"""One input, or pictures that follow one another and are computed together."""


def group_files(
    files: Sequence[Path], predictor: Predictor, processes: int | None
) -> list[FileGroup]:
    """Group pictures that follow one another; every other file is by itself.

    Args:
        files: The inputs.
        predictor: What computes them.
        processes: How many share them; None if that is not known.

    Returns:
        The groups, in the order of the inputs.
    """
    groups: list[FileGroup] = []
    for is_joined, run in groupby(
        files, lambda path: predictor.joins_pictures and path.suffix.lower() in PICTURES
    ):
        paths, size = list(run), 1
        if is_joined:
            size = PICTURES_AT_ONCE
        if is_joined and processes != 1:
            shares = _GROUPS_PER_PROCESS * (processes or PICTURES_AT_ONCE)
            size = min(size, max(1, len(paths) // shares))
        groups += [tuple(paths[at : at + size]) for at in range(0, len(paths), size)]
    return groups


@dataclass(frozen=True)
class _Entry:
    """Where the rows of an input are: a part, from which row on, and what became of the input."""

    file: Path
    start: int
    result: FileResult
    is_single: bool


class Parts:
    """The rows that are there of the inputs of a job.

    Args:
        job: What the inputs have in common.
    """

    def __init__(self, job: PredictionJob) -> None:
        self._job = job
        self._names: dict[Path, str] = {}
        self._entries: dict[str, _Entry] = {}
        self._group: tuple[Path, pa.Table] | None = None
        for file in sorted(job.parts.glob("*.parquet")):
            if not file.name.startswith("."):
                self.add(file)

    def name(self, path: Path) -> str:
        """Return the name of an input among the parts: that which it had when first asked for.

        Args:
            path: The input.
        """
        if path not in self._names:
            self._names[path] = self._job.part(path).name
        return self._names[path]

    def add(self, file: Path) -> None:
        """Read what a part says of its inputs; one that says nothing counts for nothing.

        Args:
            file: The part.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

        metadata = pq.read_schema(file).metadata or {}
        inputs = json.loads(metadata.get(KEY.encode(), b'{"inputs": []}'))["inputs"]
        start = 0
        for each in inputs:
            notes = {"problem": each["problem"], "remark": each["remark"]}
            result = FileResult(file, each["rows"], **notes)
            self._entries[each["name"]] = _Entry(file, start, result, len(inputs) == 1)
            start += each["rows"]

    def result(self, path: Path) -> FileResult | None:
        """Return what became of an input whose rows are there; None of any other.

        Args:
            path: The input.
        """
        entry = self._entries.get(self.name(path))
        return None if entry is None else replace(entry.result, path=path)

    def rows(self, path: Path) -> Iterator[pa.Table]:
        """Yield the rows of an input, a long one's in pieces.

        Args:
            path: The input; its rows are there.
        """
        entry = self._entries[self.name(path)]
        if entry.is_single:
            yield from read_rows(entry.file)
            return
        if self._group is None or self._group[0] != entry.file:
            import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

            with pq.ParquetFile(entry.file, pre_buffer=False) as file:  # `read_table` loads pandas
                self._group = entry.file, file.read().replace_schema_metadata()
        yield self._group[1].slice(entry.start, entry.result.rows)


def read_rows(part: Path) -> Iterator[pa.Table]:
    """Yield the rows of a part in pieces, without holding all of them.

    Args:
        part: The file.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    # buffered ahead, the whole file would be held until its end
    with pq.ParquetFile(part, pre_buffer=False) as rows:
        for batch in rows.iter_batches(_ROWS_AT_ONCE):
            yield pa.Table.from_batches([batch]).replace_schema_metadata()


def begun_path(part: Path) -> Path:
    """Return where the rows of a file are until it is finished.

    Args:
        part: Where they are then.
    """
    return part.with_name(f".{part.stem}.begun.parquet")


@dataclass(frozen=True)
class PredictionWork(Workload[FileGroup, "list[FileResult] | None"]):
    """The prediction of files into parts as a workload.

    The result of a group is that of each file; None of several of which one killed the process.

    Attributes:
        job: What the files have in common.
        sizes: Size of each file and of the features, None for one that is missing here, to be
            compared on other machines; without those there are none.
        features: The files of external features.
        predictor: The job's model, for this process alone; None to load it.
        progress: Called with the number of files done, and a message; by this process alone.
        done: Files that were done before.
        names: Name of each file among the parts, where another machine cannot tell it.
        node_folder: On another machine, where parts are written.
        directory: What relative paths are relative to.
    """

    job: PredictionJob
    sizes: Mapping[Path, int | None]
    features: tuple[Path, ...] = ()
    predictor: Predictor | None = None
    progress: BatchProgress = ignore_progress
    done: int = 0
    names: Mapping[Path, str] = field(default_factory=dict)
    node_folder: Path | None = None
    directory: Path = field(default_factory=Path.cwd)

    def __getstate__(self) -> dict[str, object]:
        """Leave out what other processes cannot have: a loaded model, and the progress."""
        return {**vars(self), "predictor": None, "progress": ignore_progress}

    def start(self, is_cancelled: Callable[[], bool]) -> _Worker:
        """Load the model; see `Workload.start`."""
        return _Worker(self, is_cancelled)

    def died(self, item: FileGroup) -> list[FileResult] | None:
        """Make the result of a file that killed its process; None of several, any of which may."""
        if len(item) > 1:
            return None
        got = "the process died of it: out of memory, or a fault in a decoder"
        error = MediaError("a file that can be read", got, where=item[0])
        return [FileResult(item[0], error=error)]

    def pack(self) -> Mapping[str, bytes]:
        """Read the model folder; see `Workload.pack`."""
        return load_model_folder(self.job.model).read_networks()

    def on_node(self, packed: Path, output: Path) -> PredictionWork:
        """Return it with the model that came along; see `Workload.on_node`."""
        if self.directory.is_dir():  # else every path is absolute, or its file is missing
            os.chdir(self.directory)
        for path in self.features:
            self.check_same(path)
        return replace(self, job=replace(self.job, model=packed), node_folder=output)

    def name(self, path: Path) -> str:
        """Return the name of a file among the parts.

        Args:
            path: The file.
        """
        return self.names.get(path) or self.job.part(path).name

    def part(self, paths: FileGroup) -> Path:
        """Return where the rows of a file, or of several, are written.

        Args:
            paths: The files.
        """
        folder = self.node_folder or self.job.parts
        names = [self.name(path) for path in paths]
        if len(names) == 1:
            return folder / names[0]
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
        return folder / f"{digest[:32]}.parquet"

    def folder(self, item: FileGroup) -> Path:
        """Name a folder of the files' own; see `Workload.folder`."""
        return self.node_folder or self.part(item).with_suffix("")

    def finish(self, item: FileGroup, result: list[FileResult] | None) -> None:
        """Move the parts of files to the others."""
        del result
        folder = self.folder(item)
        for file in folder.iterdir():
            file.replace(self.job.parts / file.name)
        shutil.rmtree(folder, ignore_errors=True)

    def check_same(self, path: Path) -> None:
        """Check on another machine that a file is the one that the first machine has.

        Args:
            path: An input, or a file of features.

        Raises:
            MediaError: It is missing here, or of another size.
        """
        if self.node_folder is None:
            return
        expected, size = self.sizes[path], input_size(path)
        if expected is not None and size != expected:
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

    def __call__(self, group: FileGroup) -> list[FileResult]:
        """Predict some files; only what would fail for every file is raised."""
        # in a process of its own, several share the cores: each keeps to one
        with nullcontext() if self._work.predictor else one_opencv_thread():
            if len(group) == 1:
                return [self._predict_file(group[0])]
            return self._predict_pictures(group)

    def _predict_file(self, path: Path) -> FileResult:
        """Predict one file of any kind into a part of its own."""
        done, work = self._done, self._work
        self._done += 1
        rows = FileRows(
            self._predictor,
            work.job,
            path,
            lambda share, message: work.progress(done + share, message),
            self._is_cancelled,
        )
        part, schema = work.part((path,)), self._predictor.schema
        begun = begun_path(part)
        try:
            work.check_same(path)
            with closing(iter(rows)) as tables, TableWriter(begun, schema) as writer:
                try:
                    for table in tables:
                        writer.append(table)
                except KeyboardInterrupt as error:  # what there is so far is a whole file
                    rows.stopped = error
                result = FileResult(path, writer.rows, problem=rows.problem, remark=rows.remark)
                writer.metadata = self._describe([result])
            if rows.stopped:
                raise rows.stopped
            begun.replace(part)
        except (ModelError, DiskError, Cancelled):
            raise
        except TriaffectError as error:
            return FileResult(path, error=error)
        return result

    def _predict_pictures(self, group: FileGroup) -> list[FileResult]:
        """Predict pictures into one part; what is none of them gets a part of its own.

        An interruption leaves a part of those that were read until then.
        """
        batch, results = self._predictor.picture_batch(), list[FileResult]()
        joined: list[FileResult] = []
        stopped: BaseException | None = None
        try:
            for path in group:
                picture = self._read(path)
                if isinstance(picture, FileResult):
                    results.append(picture)
                    continue
                batch.add(picture)
                self._done += 1
                rows, notes = len(picture.instants), (picture.problem, picture.remark)
                joined.append(FileResult(path, rows, problem=notes[0], remark=notes[1]))
                results.append(joined[-1])
                self._work.progress(self._done - 1 + _ALMOST, path.name)
        except (KeyboardInterrupt, Cancelled) as error:
            stopped = error
        if joined:
            part, description = self._work.part(group), self._describe(joined)
            with TableWriter(part, self._predictor.schema, description) as writer:
                writer.append(batch.table())
        if stopped:
            raise stopped
        return results

    def _read(self, path: Path) -> PictureFaces | FileResult:
        """Read a picture, or predict a file that is none though its name says so."""
        if self._is_cancelled():
            raise Cancelled
        try:
            self._work.check_same(path)
            with media_errors(path), self._work.job.inputs.open(path) as source:
                if is_picture(source):
                    return self._predictor.read_picture(source)
        except (ModelError, DiskError):
            raise
        except TriaffectError as error:
            self._done += 1
            return FileResult(path, error=error)
        return self._predict_file(path)

    def _describe(self, results: Sequence[FileResult]) -> dict[str, object]:
        """Describe the inputs of a part, in the order of their rows."""
        return {
            "inputs": [
                {
                    "name": self._work.name(result.path),
                    "rows": result.rows,
                    "problem": result.problem,
                    "remark": result.remark,
                }
                for result in results
            ]
        }

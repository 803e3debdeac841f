"""Predict files into one table, in one pass over each: prepare, forward, postprocess.

*Prepare* opens an input, *forward* yields its rows as the predictor computes them, *postprocess*
takes them, smoothed and compared with a baseline if that is wanted, to every output: the table,
its summary, a page, an annotated copy.

The rows of a single input go straight to the outputs. Of several inputs, each finished one's rows
are kept in ``<output>.parts/`` (`triaffect.prediction.parts`); what is there already is not
computed again. From there they go to the outputs in the order of the inputs, so the table does
not depend on the number of processes. The folder is removed at the end unless a file failed: the
same command then tries the failed ones alone.

Ctrl-C leaves the parts there, and what they hold, with the rows of the files that were begun, in
a partial table, ``t.partial.csv`` for ``t.csv``, until the same work is done again and ends.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from triaffect.errors import DiskError, MediaError, ModelError, TriaffectError, printable
from triaffect.io.atomic import lock_output, make_folder
from triaffect.io.engines import Engine, Processes
from triaffect.media.find import webcam_number
from triaffect.prediction.inputs import input_size
from triaffect.prediction.parts import (
    BatchProgress,
    FileGroup,
    FileRows,
    FrameListener,
    Parts,
    PredictionJob,
    PredictionWork,
    begun_path,
    group_files,
    ignore_progress,
    read_rows,
)
from triaffect.prediction.predictor import Predictor
from triaffect.studies.measures import StudyMeasures
from triaffect.studies.run import open_measures, study_summary, summary_notes
from triaffect.tables.baseline import SUFFIX, baseline_columns, describe_blank
from triaffect.tables.interop import rename_columns
from triaffect.tables.metadata import column_notes, describe_run
from triaffect.tables.postprocess import check_outputs, postprocess, postprocess_schema
from triaffect.tables.results import (
    FileResult,
    Interrupted,
    State,
    meta_name,
    partial_name,
    problems,
)
from triaffect.tables.schema import with_columns
from triaffect.tables.summary import ClipSummary, summary_schema
from triaffect.tables.writers import TableWriter, write_table

Listener = Callable[[pa.Table, Path], None]
"""Called with the next rows, and the file that they are of."""


def predict_files(
    files: Sequence[Path],
    job: PredictionJob,
    jobs: int = 1,
    *,
    engine: Engine | None = None,
    predictor: Predictor | None = None,
    progress: BatchProgress = ignore_progress,
    listeners: Sequence[Listener] = (),
    frame_listener: FrameListener | None = None,
    remarks: list[str] | None = None,
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
        remarks: Gets what is doubtful of the job's study and baseline once all rows are there, a
            line each.

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
    progress = _rising(progress)
    predictor.features.check(files)
    with ExitStack() as locks:
        for output in filter(None, (job.output, job.postprocessing.summary)):
            locks.enter_context(lock_output(output))
        listening = (listeners, frame_listener)
        engine = engine or Processes(jobs)
        remarks = [] if remarks is None else remarks
        return _predict_locked(files, job, predictor, engine, progress, listening, remarks)


def _rising(progress: BatchProgress) -> BatchProgress:
    """Pass on progress that does not go back: pictures are read some time before they count."""
    most = 0.0

    def report(done: float, message: str) -> None:
        nonlocal most
        if done >= most:
            most = done
            progress(done, message)

    return report


def _predict_locked(
    files: Sequence[Path],
    job: PredictionJob,
    predictor: Predictor,
    engine: Engine,
    progress: BatchProgress,
    listening: tuple[Sequence[Listener], FrameListener | None],
    remarks: list[str],
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
            remarks += outputs.remarks
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

    Attributes:
        measures: What people of the job's study showed; None without one.
        remarks: What is doubtful of it and of the baseline after `finish`, a line each.
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
        # listeners know our own names
        self._before_renaming = replace(job.postprocessing, columns=None)
        self._tasks = [task.with_thresholds(predictor.thresholds) for task in predictor.tasks]
        self._outputs = predictor.manifest.outputs
        self._listeners = list(listeners)
        self._problem: TriaffectError | None = None
        self.remarks: list[str] = []
        self._without_own: list[str] = []
        self._files = ExitStack()
        self._schema = self._output_schema(predictor.schema)
        comma = job.decimal_comma
        self._table = self._files.enter_context(
            TableWriter(job.output, self._schema, decimal_comma=comma)
        )
        self._summary: TableWriter | None = None
        self.measures: StudyMeasures | None = None
        if not job.study.is_empty:
            self.measures = open_measures(job.study, self._tasks, self._schema.names)
        elif self._postprocessing.summary:
            schema = summary_schema(self._tasks)
            self._summary = self._files.enter_context(
                TableWriter(self._postprocessing.summary, schema, decimal_comma=comma)
            )

    def _output_schema(self, predicted: pa.Schema) -> pa.Schema:
        """The schema of the table as it is written."""
        study, added = self._job.study, list[pa.Field]()
        if study.baseline:
            names = baseline_columns(self._tasks)
            added = [pa.field(name + SUFFIX, pa.float64()) for name in names]
        if self._postprocessing.columns:
            schema = postprocess_schema(predicted, self._postprocessing, self._tasks)
            return pa.schema([*schema, *study.fields()])
        named = pa.schema([*predicted, *study.fields()])
        return pa.schema([*postprocess_schema(named, self._postprocessing, self._tasks), *added])

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
        summary, study = ClipSummary(self._tasks) if self._summary else None, self._job.study
        rows = self._observed(study.annotate(rows), path, summary)
        tables, is_blank = postprocess(rows, self._before_renaming, self._tasks), True
        for table in study.subtract_baseline(tables, self._tasks):
            own = [name for name in table.column_names if name.endswith(SUFFIX)]
            is_blank = is_blank and all(table[name].null_count == len(table) for name in own)
            self._table.append(self._renamed(table))
            if self.measures is not None:
                self.measures.add(table)
            for listener in tuple(self._listeners):
                self._call(listener, table, path)
        if is_blank and self._postprocessing.baseline_s is not None:
            self._without_own.append(printable(path))
        if self._summary and summary and (rows_of_faces := summary.rows()):
            self._summary.append(pa.Table.from_pylist(rows_of_faces, summary_schema(self._tasks)))

    def _renamed(self, table: pa.Table) -> pa.Table:
        """The rows under the column names that are asked for, with those of the study."""
        columns = self._postprocessing.columns
        if not columns:
            return table
        own = {field.name: table[field.name] for field in self._job.study.fields()}
        return with_columns(rename_columns(table, columns, self._tasks), own)

    def _observed(
        self, rows: Iterable[pa.Table], path: Path, summary: ClipSummary | None
    ) -> Iterator[pa.Table]:
        """Yield the rows once those have seen them who need them as predicted."""
        for table in rows:
            if summary:
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
        steps, outputs = self._postprocessing, self._outputs
        notes = column_notes(self._schema, steps, self._tasks, outputs)
        notes |= job.study.notes()
        if job.study.baseline:
            for name in baseline_columns(self._tasks):
                above = f"{name} minus the median of the face in the events {job.study.baseline}"
                notes[name + SUFFIX] = above
        metadata["options"] |= {} if job.study.is_empty else job.study.options()
        self._table.metadata = {**metadata, "columns": notes}
        is_partial = any(result.stopped for result in results)
        if is_partial:
            self._table.path = partial_name(job.output)
        if self._without_own and steps.baseline_s is not None:
            self.remarks.append(describe_blank(self._without_own, steps.baseline_s))
        if all(result.error for result in results) or (is_partial and not self._table.rows):
            self._table.discard()
        if self._summary:
            self._summary.metadata = metadata
            if is_partial or all(result.error for result in results):
                self._summary.discard()
        elif self.measures and not is_partial and self._table.rows:
            self.remarks += self.measures.remarks()
            if steps.summary:
                self._write_study(steps.summary, self.measures)

    def _write_study(self, path: Path, measures: StudyMeasures) -> None:
        """Write the summary of a study; where nobody is in a group, that is its problem alone."""
        study = self._job.study
        try:
            table, remarks = study_summary(study, measures)
            self.remarks += remarks
            notes = summary_notes(study, table.schema)
            write_table(path, table, notes, decimal_comma=self._job.decimal_comma)
        except TriaffectError as error:
            self._problem = self._problem or error


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
    parts = Parts(job)
    there = {path: result for path in files if (result := parts.result(path)) is not None}
    todo = [path for path in files if path not in there]
    read = [*todo, *predictor.features.files.values()]
    is_local = isinstance(engine, Processes)
    workload = PredictionWork(
        job,
        {} if is_local else {path: input_size(path) for path in read},
        features=tuple(predictor.features.files.values()),
        predictor=predictor,
        progress=progress,
        done=len(there),
        names={path: parts.name(path) for path in todo},
    )
    groups = group_files(todo, predictor, engine.jobs if isinstance(engine, Processes) else None)
    with closing(_compute(workload, groups, engine, parts)) as work:
        for path in files:
            result = there[path] if path in there else next(work)
            if result.error is None:
                outputs.add(parts.rows(path), path)
            yield result


def _compute(
    workload: PredictionWork, groups: Sequence[FileGroup], engine: Engine, parts: Parts
) -> Generator[FileResult]:
    """Yield the result of each file; of a group that killed its process, each file is tried alone.

    The rows are among the parts then.
    """
    with closing(engine.results(workload, groups)) as work:
        for group, results in zip(groups, work, strict=True):
            if results is None:
                singles: list[FileGroup] = [(path,) for path in group]
                yield from _compute(workload, singles, engine, parts)
                continue
            if (part := workload.part(group)).exists():
                parts.add(part)
            for result in results:
                if result.error is None and parts.result(result.path) is None:
                    parts.add(workload.part((result.path,)))
                yield result


def _keep_parts(
    files: Sequence[Path], ended: Sequence[FileResult], job: PredictionJob, predictor: Predictor
) -> Interrupted:
    """Write what there is of several files into a partial table when Ctrl-C comes."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    failed = {result.path: result for result in ended if result.error}
    results, parts = list[FileResult](), Parts(job)
    for path in files:
        result = failed.get(path) or parts.result(path)
        begun = begun_path(job.part(path))
        if result is None and begun.exists():
            rows = pq.read_metadata(begun).num_rows
            result = FileResult(path, rows, stopped=State.INTERRUPTED)
        results.append(result or FileResult(path, stopped=State.NOT_STARTED))
    if not any(result.rows for result in results):
        return Interrupted(None, results)
    with PredictionOutputs(job, predictor) as outputs:
        for result in (result for result in results if result.rows):
            path = result.path
            rows_so_far = read_rows(begun_path(job.part(path))) if result.stopped else None
            outputs.add(rows_so_far or parts.rows(path), path)
        outputs.finish(results)
    return Interrupted(partial_name(job.output), results)

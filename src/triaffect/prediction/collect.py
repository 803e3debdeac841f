"""Predict many inputs into one table in memory; a bad one does not stop the others."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from triaffect.errors import DiskError, MediaError, ModelError, TriaffectError, printable
from triaffect.io.engines import Engine
from triaffect.media.find import PICTURES
from triaffect.prediction.batch import predict_files
from triaffect.prediction.inputs import DEFAULT_INPUTS
from triaffect.prediction.options import check_number
from triaffect.prediction.parts import PredictionJob
from triaffect.prediction.pictures import PICTURES_AT_ONCE, PictureBatch, is_picture
from triaffect.prediction.predictor import (
    DoubtfulMediaWarning,
    PartialMediaWarning,
    Predictor,
)
from triaffect.prediction.python_inputs import (
    ByteInput,
    FrameInput,
    Item,
    MediaInput,
    ProgressCallback,
    list_items,
)
from triaffect.studies.run import annotate_frame
from triaffect.studies.study import Study, StudyWarning, is_duration
from triaffect.tables.baseline import SUFFIX, describe_blank
from triaffect.tables.postprocess import Postprocessing, postprocess_frame
from triaffect.tables.schema import to_pandas

if TYPE_CHECKING:
    import pandas as pd

    from triaffect.studies.study import StudyFile

_Report = Callable[[int, str], None]


def collect_table(
    predictor: Predictor,
    items: Sequence[Item],
    jobs: int = 1,
    progress: ProgressCallback | None = None,
    engine: Engine | None = None,
) -> pa.Table:
    """Predict inputs.

    Args:
        predictor: The model and its options.
        items: The inputs, as `triaffect.prediction.python_inputs.list_items` lists them.
        jobs: Processes that share the files.
        progress: Called with the number of inputs done, their total, and a message.
        engine: What computes in place of processes of this machine.

    Returns:
        The rows of all inputs, in their order.

    Raises:
        TriaffectError: The only input cannot be read; or more processes than one are to share
            inputs that are not files.
        MediaError: None of several inputs can be read.
        ModelError: The model reads external features, and there are none.
    """

    def report(done: int, message: str) -> None:
        if progress:
            progress(done, len(items), message)

    check_number("jobs", jobs, least=1, whole=True)
    predictor.features.check([item for item in items if isinstance(item, Path)])
    if engine is not None or (jobs > 1 and len(items) > 1):
        return _collect_files(predictor, items, jobs, report, engine)
    tables, failures = _collect_here(predictor, items, report)
    report(len(items), "done")
    _warn_of_failures(failures, len(items))
    return pa.concat_tables(tables)


def predict_frame(
    predictor: Predictor,
    media: MediaInput | Iterable[MediaInput],
    study_files: tuple[
        StudyFile | None, StudyFile | Sequence[StudyFile] | None, str | float | None
    ] = (None, None, None),
    smooth: str = "off",
    baseline: str | float | None = None,
    work: tuple[int, ProgressCallback | None, Engine | None] = (1, None, None),
) -> pd.DataFrame:
    """Predict inputs, and add who is in them and what happened when.

    Args:
        predictor: The model and its options.
        media: As `triaffect.predict` takes it.
        study_files: Who is who, what happened when, and how long events last that are points.
        smooth: How to smooth values.
        baseline: How long the beginning of a face is whose median is subtracted, or the name of
            an event.
        work: Processes, listener to the progress, and engine, as `collect_table` takes them.

    Returns:
        The prediction table, with the predictor's metadata as ``attrs``; a `StudyWarning` says what
        is doubtful in the study's files, and where no face outlasts the baseline.

    Raises:
        TableError: A file of the study cannot be read or fits none of the inputs; that is found
            before anything is predicted.
        TriaffectError: As `Predictor.predict`.
    """
    people, events, event_length = study_files
    listed = cast("Sequence[StudyFile]", events if isinstance(events, (list, tuple)) else [events])
    listed = [] if events is None else listed
    items = list_items(media)
    clips = [
        printable(item if isinstance(item, Path) else item.name)
        for item in items
        if not isinstance(item, TriaffectError)
    ]
    event = "" if baseline is None or is_duration(str(baseline)) else str(baseline)
    steps = Postprocessing.parse(smooth, None if event else baseline)
    names = predictor.schema.names
    study = Study.open(clips, people, listed, event, event_length, names)
    for line in study.remarks:
        warnings.warn(line, StudyWarning, stacklevel=4)
    table = to_pandas(collect_table(predictor, items, *work))
    table.attrs.update(deepcopy(predictor.metadata))
    done = (
        postprocess_frame(table, steps) if study.is_empty else annotate_frame(table, study, steps)
    )
    if steps.baseline_s is not None:
        above = done.columns[done.columns.str.endswith(SUFFIX)]
        seen = done[above].notna().any(axis=1).groupby(done["clip"], sort=False).any()
        if blank := [str(clip) for clip in seen.index[~seen]]:
            line = describe_blank(blank, steps.baseline_s)
            warnings.warn(line, StudyWarning, stacklevel=4)
    return done


def _collect_here(
    predictor: Predictor, items: Sequence[Item], report: _Report
) -> tuple[list[pa.Table], list[TriaffectError]]:
    """Predict inputs one after another, pictures that follow one another together."""
    tables, failures = [predictor.schema.empty_table()], list[TriaffectError]()
    batch = predictor.picture_batch() if predictor.joins_pictures else None
    for done, item in enumerate(items):
        try:
            if isinstance(item, TriaffectError):
                raise item
            report(done, str(item) if isinstance(item, Path) else item.name)
            is_added = batch is not None and _add_picture(predictor, item, batch)
            if batch and (len(batch) >= PICTURES_AT_ONCE or not is_added):
                tables.append(batch.table())
            if not is_added:
                with closing(predictor.item_tables(item)) as parts:
                    tables += parts
        except (ModelError, DiskError):
            raise
        except TriaffectError as error:
            if len(items) == 1:
                raise
            failures.append(error)
    return ([*tables, batch.table()] if batch else tables), failures


def _add_picture(
    predictor: Predictor, item: Path | FrameInput | ByteInput, batch: PictureBatch
) -> bool:
    """Add an input to a batch if it is the file of a picture; warn as `predict_source` does."""
    if not isinstance(item, Path) or item.suffix.lower() not in PICTURES:
        return False
    with DEFAULT_INPUTS.open(item) as source:
        if not is_picture(source):
            return False
        picture = predictor.read_picture(source)
    batch.add(picture)
    for message, kind in (
        (picture.problem, PartialMediaWarning),
        (picture.remark, DoubtfulMediaWarning),
    ):
        if message:
            warnings.warn(message, kind, stacklevel=5)
    return True


def _collect_files(
    predictor: Predictor,
    items: Sequence[Item],
    jobs: int,
    report: _Report,
    engine: Engine | None,
) -> pa.Table:
    """Predict files in several processes, or wherever the engine does."""
    failures = [item for item in items if isinstance(item, TriaffectError)]
    paths = [item for item in items if isinstance(item, Path)]
    if len(paths) + len(failures) < len(items):
        got = "pictures, frames or bytes among the inputs"
        where = "jobs" if engine is None else "engine"
        raise MediaError("files, for other processes", got, f"leave {where} out", where=where)
    with tempfile.TemporaryDirectory(prefix="triaffect-") as folder:
        output = Path(folder, "table.parquet")
        job = PredictionJob(
            output,
            predictor.folder,
            predictor.device,
            predictor.options,
            features=predictor.features.files or None,
        )
        results = predict_files(
            paths,
            job,
            jobs,
            engine=engine,
            predictor=predictor,
            progress=lambda done, message: report(int(done), message),
        )
        failures += [result.error for result in results if result.error]
        if failures and len(items) == 1:
            raise failures[0]
        for result in results:
            if result.problem:
                warnings.warn(result.problem, PartialMediaWarning, stacklevel=5)
            if result.remark:
                warnings.warn(result.remark, DoubtfulMediaWarning, stacklevel=5)
        _warn_of_failures(failures, len(items))
        import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

        return pq.read_table(output).replace_schema_metadata()


def _warn_of_failures(failures: Sequence[TriaffectError], total: int) -> None:
    if failures and len(failures) == total:
        got = f"none among {total}; the first: {failures[0]}"
        raise MediaError("an input that can be read", got)
    for error in failures:
        message = f"{error}; the table has the other inputs"
        warnings.warn(message, PartialMediaWarning, stacklevel=6)

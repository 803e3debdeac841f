"""``triaffect predict``: videos, pictures and sounds into a table."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli._shared import progress_bar
from triaffect.errors import MediaError
from triaffect.io.durations import parse_duration
from triaffect.io.workers import count_cores
from triaffect.prediction.options import DETECTION_INTERVAL_S, Options

if TYPE_CHECKING:
    from triaffect.report.annotate import Annotator
    from triaffect.report.prediction_page import PredictionPage
    from triaffect.tables.results import FileResult, Interrupted

_MOST_JOBS = 2
"""Processes unless more are asked for: each holds a model and a decoded frame."""

_LONGEST_S = 3600.0


def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, pictures, sounds, folders of them, patterns in quotes, or webcam:0.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The table, .csv, .parquet or .jsonl; replaced.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(help="Model folder.", show_default="the shipped weights")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the networks run: cpu or cuda.")] = "cpu",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes.", show_default=f"at most {_MOST_JOBS}")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Also write a page to look at.", show_default=False)
    ] = None,
    no_thumbnails: Annotated[
        bool, typer.Option("--no-thumbnails", help="Make the page without pictures of people.")
    ] = False,
    no_sound: Annotated[
        bool, typer.Option("--no-sound", help="Judge faces alone; leave the sound of videos out.")
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(
            help="Rows only so often, such as 0.2s or 200ms.", show_default="every frame's"
        ),
    ] = None,
    detect_every: Annotated[
        str,
        typer.Option(
            help="Look at the whole picture so often, in between only near known faces; "
            "0 looks at all of every frame."
        ),
    ] = f"{DETECTION_INTERVAL_S:g}s",
    smallest_face: Annotated[
        float,
        typer.Option(min=0, help="Pass over faces whose box has a side of fewer pixels."),
    ] = 0.0,
    most_faces: Annotated[
        int | None,
        typer.Option(min=1, help="Only the largest so many faces of a frame.", show_default="all"),
    ] = None,
    smooth: Annotated[
        str,
        typer.Option(
            metavar="off|causal|centred[:TIME]",
            help="Add columns smoothed over time within each face; the raw ones stay.",
        ),
    ] = "off",
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Add columns relative to the median of each face's first TIME, such as 5s.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="openface|pyfeat",
            help="Write what is comparable under the column names of that program.",
            show_default=False,
        ),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            help="Also write a table with a row a clip and face, by ending as OUTPUT.",
            show_default=False,
        ),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(
            help="Also write copies of the videos with the answers drawn: an .mp4, or a folder.",
            show_default=False,
        ),
    ] = None,
    images_as_video: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="FPS",
            help="A folder's pictures, in order of their names, are one video of so many a second.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="How long to watch a camera.", show_default="until Ctrl-C"),
    ] = None,
) -> None:
    """Predict valence, arousal, expression and action units for every frame and face.

    One row a frame and face; a frame without a face has one row, from the voice if there is
    one. A file that cannot be read is named at the end and does not stop the others; exit
    code 1. If interrupted, or once the file is mended, run it again: files that were finished
    are kept in OUTPUT.parts until then, and what there is so far of interrupted work in a table
    whose name ends in .partial.
    """
    import cv2

    from triaffect.media.find import find_media
    from triaffect.prediction.batch import predict_files
    from triaffect.prediction.inputs import Opening, check_alone
    from triaffect.prediction.predictor import model_folder
    from triaffect.tables.postprocess import TableForm
    from triaffect.tables.results import Interrupted

    cv2.setNumThreads(1)  # detection, cutting and decoding run in threads of their own
    options = Options(
        sound=not no_sound,
        stride_s=None
        if every is None
        else parse_duration(every, "--every", what="a step", most_s=_LONGEST_S),
        detection_interval_s=parse_duration(
            detect_every, "--detect-every", what="a step", most_s=_LONGEST_S
        ),
        min_face_px=smallest_face,
        max_faces=most_faces,
    )
    form = TableForm.parse(smooth, baseline, columns, summary)
    files = find_media(inputs, images_as_video is not None)
    check_alone(files)
    page = _page(report, model, not no_thumbnails) if report else None
    drawn = _annotator(annotate, files, model, images_as_video)
    try:
        with progress_bar() as bar, drawn as copies:
            results = predict_files(
                files,
                output,
                model_folder(model),
                device,
                jobs or min(_MOST_JOBS, count_cores(), len(files)),
                told=lambda done, word: bar(done, len(files), word),
                listeners=[each.add for each in (page, copies) if each],
                options=options,
                form=form,
                opening=Opening(images_as_video, seconds),
            )
    except Interrupted as stop:
        _tell_interrupted(stop)
        raise
    failed = _tell(results, output)
    if page and report:
        page.write(report)
    if failed:
        raise typer.Exit(1)


def _page(path: Path, model: Path | None, pictures: bool) -> PredictionPage:
    """A page, still empty.

    Raises:
        TableError: The page cannot be written there.
        ModelError: The model folder is missing or damaged.
    """
    from triaffect.features.model_folder import load_model_folder
    from triaffect.io.atomic import check_output
    from triaffect.prediction.predictor import model_folder
    from triaffect.report.prediction_page import PredictionPage

    check_output(path)
    manifest = load_model_folder(model_folder(model)).manifest
    return PredictionPage(model=manifest, pictures=pictures)


def _annotator(
    place: Path | None, files: list[Path], model: Path | None, images_rate: float | None
) -> AbstractContextManager[Annotator | None]:
    from triaffect.features.model_folder import load_model_folder
    from triaffect.prediction.predictor import model_folder
    from triaffect.report.annotate import Annotator

    if place is None:
        return nullcontext()
    thresholds = load_model_folder(model_folder(model)).manifest.thresholds
    return Annotator(place, files, thresholds, images_rate)


def _tell_interrupted(stop: Interrupted) -> None:
    if stop.output:
        rows = sum(result.rows for result in stop.results)
        sys.stderr.write(f"triaffect: {rows} rows so far are in {stop.output}\n")


def _tell(results: list[FileResult], output: Path) -> int:
    """Say what was done and what was not.

    Returns:
        How many files failed, if others did not.

    Raises:
        TriaffectError: Nothing could be done.
    """
    failed = [result for result in results if result.error]
    if len(results) == 1 and failed and failed[0].error:
        raise failed[0].error
    for result in results:
        if result.error or result.problem:
            sys.stderr.write(f"triaffect: warning: {result.error or result.problem}\n")
    if len(failed) == len(results):
        remedy = "see the warnings above"
        raise MediaError("a file that can be read", f"none among {len(results)}", remedy)
    rows = sum(result.rows for result in results)
    left_out = f"; {len(failed)} left out" if failed else ""
    broken = sum(bool(result.problem) for result in results)
    partial = f"; {broken} only in part" if broken else ""
    typer.echo(f"{output}: {rows} rows from {len(results) - len(failed)} files{left_out}{partial}")
    if failed:
        again = "the same command tries those that failed again, and computes no others"
        sys.stderr.write(f"triaffect: finished files are kept in {output}.parts: {again}\n")
    return len(failed)

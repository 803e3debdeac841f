"""``triaffect predict``: videos, pictures and sounds into a table."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli.durations import read_duration
from triaffect.cli.progress import progress_bar
from triaffect.errors import MediaError
from triaffect.inference.options import DETECT_EVERY_S, Options

if TYPE_CHECKING:
    from triaffect.inference.many import FileResult

_MOST_JOBS = 2
"""Processes unless more are asked for: each holds a model and a decoded frame."""

_LONGEST_S = 3600.0


def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, pictures, sounds, or folders of them.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The table, .csv or .parquet; replaced.", show_default=False
        ),
    ],
    *,
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
    ] = f"{DETECT_EVERY_S:g}s",
    smallest_face: Annotated[
        float,
        typer.Option(min=0, help="Pass over faces whose box has a side of fewer pixels."),
    ] = 0.0,
    most_faces: Annotated[
        int | None,
        typer.Option(min=1, help="Only the largest so many faces of a frame.", show_default="all"),
    ] = None,
) -> None:
    """Predict valence, arousal, expression and action units for every frame and face.

    One row a frame and face; a frame without a face has one row, from the voice if there is
    one. A file that cannot be read is named at the end and does not stop the others. If
    interrupted, run it again: files that were finished are kept in OUTPUT.parts until then.
    """
    from triaffect.inference.many import find_media, predict_files
    from triaffect.inference.predictor import model_folder
    from triaffect.report.prediction import PredictionPage

    options = Options(
        sound=not no_sound,
        every_s=None if every is None else read_duration(every, "--every", "a step", _LONGEST_S),
        detect_every_s=read_duration(detect_every, "--detect-every", "a step", _LONGEST_S),
        smallest_face_px=smallest_face,
        most_faces=most_faces,
    )
    files = find_media(inputs)
    page = PredictionPage() if report else None
    with progress_bar() as bar:
        results = predict_files(
            files,
            output,
            model_folder(model),
            device,
            jobs or min(_MOST_JOBS, os.cpu_count() or 1, len(files)),
            lambda done, word: bar(done, len(files), word),
            page.add if page else None,
            options,
        )
    _tell(results, output)
    if page and report:
        page.write(report)


def _tell(results: list[FileResult], output: Path) -> None:
    """Say what was done and what was not.

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
    typer.echo(f"{output}: {rows} rows from {len(results) - len(failed)} files{left_out}")

"""``triaffect predict``: videos, pictures and sounds into a table."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli.progress import progress_bar
from triaffect.errors import MediaError

if TYPE_CHECKING:
    from triaffect.inference.many import FileResult
    from triaffect.report.prediction import PredictionPage

_MOST_JOBS = 2
"""Processes unless more are asked for: each holds a model and a decoded frame."""


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
) -> None:
    """Predict valence, arousal, expression and action units for every frame and face.

    One row a frame and face; a frame without a face has one row, from the voice if there is
    one. A file that cannot be read is named at the end and does not stop the others. If
    interrupted, run it again: files that were finished are kept in OUTPUT.parts until then.
    """
    from triaffect.inference.many import find_media, predict_files
    from triaffect.inference.predictor import model_folder

    files = find_media(inputs)
    page = _page(report, model, not no_thumbnails) if report else None
    with progress_bar() as bar:
        results = predict_files(
            files,
            output,
            model_folder(model),
            device,
            jobs or min(_MOST_JOBS, os.cpu_count() or 1, len(files)),
            lambda done, word: bar(done, len(files), word),
            page.add if page else None,
            not no_sound,
        )
    _tell(results, output)
    if page and report:
        page.write(report)


def _page(path: Path, model: Path | None, pictures: bool) -> PredictionPage:
    """A page, still empty.

    Raises:
        TableError: The page cannot be written there.
        ModelError: The model folder is missing or damaged.
    """
    from triaffect.features.model_folder import load_model_folder
    from triaffect.inference.output import check_place
    from triaffect.inference.predictor import model_folder
    from triaffect.report.prediction import PredictionPage

    check_place(path)
    manifest = load_model_folder(model_folder(model)).manifest
    return PredictionPage(model=manifest, pictures=pictures)


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

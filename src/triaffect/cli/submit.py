"""``triaffect submit`` and ``submit-check``: a challenge's file, made and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli._shared import name_outputs, output_option, progress_bar

if TYPE_CHECKING:
    from triaffect.evaluation.submission.writer import Submission

SUBMIT_EXAMPLES = (
    "triaffect submit runs/mine --store stores/test --list test_set_list.txt -o submission.txt",
    "triaffect submit runs/mine --stage teacher --store stores/test --list test_set_list.txt "
    "-o teacher.txt",
)
CHECK_EXAMPLES = (
    "triaffect submit-check submission.txt --list test_set_list.txt",
    "triaffect submit-check old/submission.txt --list MTL_Challenge/test_set_list.txt",
)
_MOST_NAMES = 5
"""How many videos a line names before it only counts."""

_List = Annotated[
    Path,
    typer.Option("--list", help="The organizers' test list: a header, then an image a line."),
]


def submit(
    run: Annotated[Path, typer.Argument(help="Run folder, or model folder.")],
    store: Annotated[Path, typer.Option(help="Feature store with the listed videos.")],
    list_: _List,
    output: Annotated[Path, output_option("The file to write; replaced.")],
    stage: Annotated[
        str | None, typer.Option(help="Stage of a run.", show_default="the last one")
    ] = None,
) -> None:
    """Write the multi-task challenge's file: every image of the list, in its order.

    An image that the network cannot predict gets the prediction of the nearest moment of its
    video that it can, and zeros where the video has none. The file is checked as submit-check
    does before it takes its place.
    """
    from triaffect.errors import TableError
    from triaffect.evaluation.submission.test_list import read_images
    from triaffect.evaluation.submission.writer import (
        open_predictor,
        predict_list,
        write_submission,
    )
    from triaffect.features.store import FeatureStore
    from triaffect.io.atomic import check_output

    check_output(output)
    if output.exists() and list_.exists() and output.samefile(list_):
        raise TableError("a new file", "the test list", "choose another --output", where=output)
    test_list, opened = read_images(list_), FeatureStore.open(store)
    network = open_predictor(run, opened, stage)
    with progress_bar() as progress:
        submission = predict_list(test_list, opened, network, progress)
    write_submission(output, submission)
    typer.echo("\n".join(_summary(submission)))
    images, videos = len(test_list.images), len(test_list.videos)
    name_outputs(f"{output}: {images} images of {videos} videos")


def submit_check(
    file: Annotated[Path, typer.Argument(help="The challenge's file.")], list_: _List
) -> None:
    """Check a file of the multi-task challenge against the organizers' test list.

    The first mistake is named with its line, the others are counted; the exit code is then 2.
    """
    from triaffect.evaluation.submission.check import check_submission
    from triaffect.evaluation.submission.test_list import read_images

    images = read_images(list_).images
    check_submission(file, images)
    typer.echo(f"{file}: right, {len(images)} images")


def _summary(submission: Submission) -> list[str]:
    """Say how many lines are predicted at which moment, and which videos have nothing."""
    from triaffect.evaluation.submission.writer import Basis

    zeros, absent = submission.videos_of_zeros(), set(submission.unknown)
    counts = {basis: submission.count(basis) for basis in Basis}
    lines = [
        f"predicted at the image itself: {counts[Basis.OWN]}",
        f"taken from the nearest moment that can be predicted: {counts[Basis.NEAREST]}",
        f"zeros, as the video has no such moment: {counts[Basis.NOTHING]}",
    ]
    for what, names in (
        ("videos that are not in the store", [name for name in zeros if name in absent]),
        ("videos without anything to predict from", [name for name in zeros if name not in absent]),
    ):
        if names:
            hidden = len(names) - _MOST_NAMES
            more = f" and {hidden} more" if hidden > 0 else ""
            lines.append(f"{what}: {', '.join(names[:_MOST_NAMES])}{more}")
    return lines

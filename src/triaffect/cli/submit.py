"""``triaffect submit`` and ``submit-check``: a challenge's file, made and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from triaffect.evaluation.submission.writer import Answers, Network
    from triaffect.features.model_folder import ModelFolder
    from triaffect.features.store import FeatureStore
    from triaffect.recipes.config import DataSpec

_NAMED = 5
"""How many videos a line names before it only counts."""

_List = Annotated[
    Path,
    typer.Option("--list", help="The organisers' test list: a header, then an image a line."),
]


def submit(
    run: Annotated[Path, typer.Argument(help="Run folder, or model folder.")],
    store: Annotated[Path, typer.Option(help="Feature store with the listed videos.")],
    list_: _List,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; replaced.")],
    stage: Annotated[
        str | None, typer.Option(help="Stage of a run.", show_default="the last one")
    ] = None,
) -> None:
    """Write the multi-task challenge's file: every image of the list, in its order.

    An image that the network cannot predict gets the prediction of the nearest moment of its
    video that it can, and zeros where the video has none. The file is checked as submit-check
    does before it takes its place.
    """
    from triaffect.cli._shared import progress_bar
    from triaffect.evaluation.submission.test_list import read_listed
    from triaffect.evaluation.submission.writer import answer, write_submission
    from triaffect.features.store import FeatureStore
    from triaffect.io.atomic import check_output

    _check_not_input(check_output(output), list_)
    listed, opened = read_listed(list_), FeatureStore.open(store)
    network = _open(run, opened, stage)
    with progress_bar() as told:
        answers = answer(listed, opened, network, told)
    write_submission(output, answers)
    _tell(answers, output)


def submit_check(
    file: Annotated[Path, typer.Argument(help="The challenge's file.")], list_: _List
) -> None:
    """Check a file of the multi-task challenge against the organisers' test list.

    The first mistake is named with its line, the others are counted; the exit code is then 2.
    """
    from triaffect.evaluation.submission.check import check_submission
    from triaffect.evaluation.submission.test_list import read_listed

    images = read_listed(list_).images
    check_submission(file, images)
    typer.echo(f"{file}: right, {len(images)} images")


def _check_not_input(output: Path, list_: Path) -> None:
    from triaffect.errors import TableError

    if output.exists() and list_.exists() and output.samefile(list_):
        raise TableError("a new file", "the test list", "choose another --output", where=output)


def _open(root: Path, store: FeatureStore, stage: str | None) -> Network:
    """The network of a model folder, or of a run's stage."""
    from triaffect.errors import ModelError
    from triaffect.evaluation.submission.writer import open_network
    from triaffect.features.model_folder import DESCRIPTION, load_model_folder
    from triaffect.features.own_networks import check_networks
    from triaffect.training.run_folder import RunFolder

    if not (root / DESCRIPTION).is_file():
        exported = RunFolder(root).model
        if (exported / DESCRIPTION).is_file():
            check_networks(load_model_folder(exported), store)
        return open_network(root, store, stage)
    if stage is not None:
        raise ModelError("a run folder for --stage", "a model folder", where=root)
    return _open_model(root, store)


def _open_model(root: Path, store: FeatureStore) -> Network:
    from triaffect.evaluation.submission.writer import Network
    from triaffect.features.model_folder import load_model_folder
    from triaffect.features.own_networks import check_networks
    from triaffect.prediction.heads import Fusion
    from triaffect.tasks.registry import TASKS

    model = load_model_folder(root)
    check_networks(model, store)
    fusion, data = Fusion(model, TASKS), _data_of(model)
    return Network.over(
        data,
        store,
        [task.with_thresholds(model.manifest.thresholds) for task in fusion.tasks],
        lambda samples, rows: fusion(*samples.arrays(rows)),
        root,
    )


def _data_of(model: ModelFolder) -> DataSpec:
    """What a model's rows must have: its recipe tells, and if it has none, its window."""
    from pydantic import ValidationError

    from triaffect.errors import ModelError
    from triaffect.recipes.config import DataSpec, WindowSpec

    part, recipe = model.manifest.fusion, model.manifest.recipe
    if part is not None and not recipe:
        of = part.window
        window = WindowSpec(span=of.span_s, hop=of.hop_s, causal=of.causal)
        return DataSpec(input="windows", window=window, pools={})
    try:
        return DataSpec.model_validate(recipe["data"])
    except (ValidationError, KeyError) as error:
        raise ModelError("a model with its recipe", str(error)[:100], where=model.path) from None


def _tell(answers: Answers, output: Path) -> None:
    """How many lines stand on what, and which videos have nothing."""
    from triaffect.evaluation.submission.writer import Basis

    zeros = answers.videos_of_zeros()
    counts = {basis: answers.count(basis) for basis in Basis}
    lines = [
        f"{output}: {len(answers.listed.images)} images of {len(answers.listed.videos)} videos",
        f"predicted at the image itself: {counts[Basis.OWN]}",
        f"taken from the nearest moment that can be predicted: {counts[Basis.NEAREST]}",
        f"zeros, as the video has no such moment: {counts[Basis.NOTHING]}",
    ]
    absent = set(answers.unknown)
    for what, names in (
        ("videos that are not in the store", [name for name in zeros if name in absent]),
        ("videos without anything to predict from", [name for name in zeros if name not in absent]),
    ):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            lines.append(f"{what}: {', '.join(names[:_NAMED])}{more}")
    typer.echo("\n".join(lines))

"""``triaffect train`` and ``export``: a store into a run folder, and a model into one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli._shared import (
    AllowLeak,
    Device,
    DeviceOption,
    DropLeak,
    Precision,
    PrecisionOption,
    SeedOption,
    leak_choice,
    name_outputs,
    output_option,
    progress_bar,
    progress_line,
    training_word,
    warn,
)
from triaffect.io.workers import count_cores

if TYPE_CHECKING:
    from triaffect.recipes.config import Recipe
    from triaffect.training.run_folder import JournalEvent

THREADS = min(2, count_cores())


EXAMPLES = (
    "triaffect train default --store STORE -o RUN --seed 1",
    "triaffect train finetune --store STORE -o RUN --init default --set finetune.epochs=4",
)
EXPORT_MODEL_EXAMPLES = (
    "triaffect export RUN --format onnx -o model.onnx",
    "triaffect export default -o triaffect.onnx",
)
RENAMED = {"--out": "--output"}
OLD_VALUES = {"--precision": {"bf16": "bfloat16"}}


def train(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or name of a shipped recipe.")],
    store: Annotated[Path, typer.Option(help="Feature store to learn from.")],
    output: Annotated[Path, output_option("Run folder to make.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe; may be repeated."),
    ] = None,
    seed: SeedOption = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = THREADS,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Start from trained weights: default, a model folder, or a finished run.",
            show_default="random weights",
        ),
    ] = None,
    *,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN",
            help="Finished run whose answers a stage learns from; may be repeated: their mean.",
        ),
    ] = None,
    allow_leak: AllowLeak = False,
    drop_leak: DropLeak = False,
    precision: PrecisionOption = None,
    device: DeviceOption = Device.CPU,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Also log every epoch to csv, tensorboard, wandb; several with commas.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train every stage of a recipe, score it, and export the model folder."""
    from triaffect.features.store import FeatureStore
    from triaffect.recipes.corpora import fit_to_store
    from triaffect.training.device import TorchDevice
    from triaffect.training.distillation import find_teachers
    from triaffect.training.export import export_run
    from triaffect.training.loggers import open_loggers, parse_loggers
    from triaffect.training.run_folder import RunFolder, find_initial_weights
    from triaffect.training.trainer import set_threads
    from triaffect.training.trainer import train as run

    compute_device = TorchDevice.named(device)
    loggers = parse_loggers(log) if log else ()
    leaks = leak_choice(allow=allow_leak, drop=drop_leak)
    set_threads(threads)
    opened = FeatureStore.open(store)
    resolved = fit_to_store(_resolve(recipe, set_ or (), precision), opened)
    initial = find_initial_weights(init, resolved, opened) if init else None
    teachers = find_teachers(teacher or (), resolved)
    with progress_bar() as progress, open_loggers(loggers, RunFolder(output)) as log_event:

        def report(stage: str, done: int, total: int, loss: float) -> None:
            progress(done, total, training_word(stage, loss))

        def listen(event: JournalEvent) -> None:
            _report_event(event)
            log_event(event)

        folder = run(
            resolved,
            opened,
            output,
            seed,
            resume,
            report,
            listen,
            initial=initial,
            leaks=leaks,
            device=compute_device,
            teachers=teachers,
        )
    export_run(folder, opened)
    typer.echo(f"scores: {folder.scores}\nmodel:  {folder.model}")


class ExportFormat(StrEnum):
    """What a model can be exported as."""

    ONNX = "onnx"


def export(
    model: Annotated[
        Path, typer.Argument(help="Model folder or finished run; default for the shipped model.")
    ],
    output: Annotated[Path, output_option("The file, .onnx; replaced.")],
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="What to write.")
    ] = ExportFormat.ONNX,
) -> None:
    """Write a model as one file for other programs, from aligned faces and spectrum to answers.

    The file is run beside the model's networks before it is written, and takes the same answers
    to 1e-4.
    """
    from triaffect.features.extractors.registry import DEFAULT
    from triaffect.io.atomic import check_output
    from triaffect.prediction.predictor import model_folder
    from triaffect.training.export.end_to_end import export_graph

    del format_  # there is but one
    check_output(output)
    export_graph(model_folder(None if str(model) == DEFAULT else model), output)
    name_outputs(output)


def _resolve(recipe: str, changes: Sequence[str], precision: Precision | None) -> Recipe:
    """The recipe with what the command line changes; the run folder keeps it so."""
    from triaffect.recipes.load import load_recipe

    resolved = load_recipe(recipe, changes)
    if precision is None:
        return resolved
    overrides = [f"{stage}.precision={precision.value}" for stage in resolved.stages]
    return load_recipe(recipe, [*changes, *overrides])


def _report_event(event: JournalEvent) -> None:
    """Write one line to stderr for an event of the journal."""
    from triaffect.training.run_folder import (
        EpochEnded,
        LeaksDetected,
        NoGain,
        NothingToChooseBy,
        NothingToLearn,
    )

    if isinstance(event, NothingToLearn):
        remains = "what one begins with answers them still"
        for names, then in (event.columns, "the model leaves them blank"), (event.initial, remains):
            if names:
                warn(f"no labels to learn {', '.join(names)} from; {then}")
        return
    if isinstance(event, LeaksDetected):
        left_out = ", ".join(f"{count} for {split}" for split, count in event.left_out.items())
        done = f"left out rows: {left_out}" if left_out else "trained on all the same"
        counts = f"{len(event.people)} people and {len(event.videos)} videos"
        warn(f"{counts} in several splits; {done}")
        return
    if isinstance(event, NoGain | NothingToChooseBy):
        warn(str(event))
        return
    scores = _format_scores(event.validation)
    if event.held_out is not None:
        reported = f"; validation {scores}" if scores else ""
        scores = f"held out {_format_scores(event.held_out)}{reported}"
    when, best = "as it starts", ""
    if isinstance(event, EpochEnded):
        when = f"epoch {event.epoch + 1}, {event.seconds:.0f} s"
        best = " *" if event.best else ""
    progress_line(f"{event.stage} {when}{f': {scores}' if scores else ''}{best}")


def _format_scores(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Format official scores in one line: of the pools of several tasks, if there are any."""
    several = {pool: official for pool, official in scores.items() if f"P_{pool}" not in official}
    return ", ".join(
        f"{pool} " + " ".join(f"{name} {value:.3f}" for name, value in official.items())
        for pool, official in (several or scores).items()
    )

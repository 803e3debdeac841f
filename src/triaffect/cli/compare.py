"""``triaffect compare``: recipes and runs, over seeds, with what their differences are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli._shared import (
    AllowLeak,
    Device,
    DropLeak,
    EngineName,
    EngineOption,
    JobsOption,
    JsonOption,
    RayAddressOption,
    ReportOption,
    SplitName,
    SplitOption,
    leak_choice,
    make_cluster,
    name_outputs,
    output_option,
    progress_bar,
    progress_line,
)
from triaffect.errors import RunError
from triaffect.io.atomic import check_distinct, check_output, check_page, write_json

if TYPE_CHECKING:
    from triaffect.evaluation.comparison.results import Comparison
    from triaffect.evaluation.comparison.runs import ComparisonSettings, RunJob, RunOutcome
    from triaffect.evaluation.comparison.systems import ComparedRecipe
    from triaffect.io.engines import Engine

SEEDS = 3
RESAMPLES = 1000
COMPARE_RENAMED = {"--out": "--output", "--html": "--report"}
COMPARE_EXAMPLES = (
    "triaffect compare default supervised --store stores/mine -o runs --report compared.html",
    "triaffect compare default emma abaw4_mtl --store stores/mine -o runs --updates 3000",
    "triaffect compare finetune default --init default --store stores/mine -o runs --seeds 5",
)
_FILE_WIDTH = 120
"""Letters of a line where standard output is a file, which has no width of its own."""

_TRAINING, _SCORING = "Training of missing runs", "Scoring"

What = Annotated[
    list[str],
    typer.Argument(
        metavar="WHAT", help="Recipe files, names of shipped recipes, folders of finished runs."
    ),
]
Store = Annotated[Path, typer.Option(help="Feature store to learn from and to score on.")]
Output = Annotated[Path, output_option("Folder for the runs that are missing.")]
Seeds = Annotated[int, typer.Option(min=1, help="Runs of each recipe.", rich_help_panel=_TRAINING)]
FirstSeed = Annotated[
    int, typer.Option(min=0, help="Seed of the first of them.", rich_help_panel=_TRAINING)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change all recipes; may be repeated.",
        rich_help_panel=_TRAINING,
    ),
]
Updates = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Steps of the optimizer of every run, in place of its own epochs; its stages share "
        "them.",
        show_default="each recipe's own epochs",
        rich_help_panel=_TRAINING,
    ),
]
ProcessorSeconds = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        help="Seconds of the processor of every run, likewise.",
        show_default="no limit",
        rich_help_panel=_TRAINING,
    ),
]
Init = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Weights for recipes that start from others, such as finetune: default, a model "
        "folder, or a run.",
        show_default=False,
        rich_help_panel=_TRAINING,
    ),
]
Threads = Annotated[
    int, typer.Option(min=1, help="Processor threads of each run.", rich_help_panel=_TRAINING)
]
TrainingDevice = Annotated[
    Device,
    typer.Option(
        "--device",
        help="Where the networks run; all are scored on the cpu.",
        rich_help_panel=_TRAINING,
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Baseline: one of the entries, or entry/stage.",
        show_default="first",
        rich_help_panel=_SCORING,
    ),
]
Resamples = Annotated[
    int,
    typer.Option(
        "--bootstrap", min=0, help="Resamples; 0: no intervals.", rich_help_panel=_SCORING
    ),
]


def compare(
    what: What,
    store: Store,
    output: Output,
    seeds: Seeds = SEEDS,
    first_seed: FirstSeed = 0,
    split: SplitOption = SplitName.TEST,
    set_: Set = None,
    init: Init = None,
    against: Against = None,
    *,
    updates: Updates = None,
    seconds: ProcessorSeconds = None,
    jobs: JobsOption = None,
    engine: EngineOption = EngineName.PROCESSES,
    ray_address: RayAddressOption = None,
    device: TrainingDevice = Device.CPU,
    threads: Threads = 1,
    resamples: Resamples = RESAMPLES,
    json_: JsonOption = None,
    allow_leak: AllowLeak = False,
    drop_leak: DropLeak = False,
    report: ReportOption = None,
) -> None:
    """Train what is missing, and tell recipes or runs apart: scores, spread, differences, cost."""
    from triaffect.evaluation.comparison.budgets import Budget
    from triaffect.evaluation.comparison.common_rows import common_rows
    from triaffect.evaluation.comparison.results import compare_systems, find_baseline
    from triaffect.evaluation.comparison.runs import ComparisonSettings
    from triaffect.evaluation.comparison.systems import find_entries
    from triaffect.evaluation.results import Resampling
    from triaffect.features.store import FeatureStore
    from triaffect.io.workers import count_cores
    from triaffect.report.comparison_page import comparison_page
    from triaffect.training.device import TorchDevice
    from triaffect.training.view import LeakChoice

    if json_ is not None:
        check_output(json_)
    if report is not None:
        check_page(report)
    check_distinct([json_, report])
    cluster = make_cluster(engine, ray_address, jobs)
    if cluster is not None and threads > 1:
        expected, remedy = "one thread for each run on a cluster", "leave --threads out"
        raise RunError(expected, str(threads), remedy, where="--threads")
    budget = Budget(updates, seconds)
    opened, torch_device = FeatureStore.open(store), TorchDevice.named(device)
    leaks = leak_choice(allow=allow_leak, drop=drop_leak) or LeakChoice.REFUSE
    seed_range = range(first_seed, first_seed + seeds)
    entries = find_entries(what, opened, output, seed_range, set_ or (), leaks, init, budget)
    baseline = find_baseline(entries, against)
    common, errors = common_rows(entries, opened, split.value)
    for name, error in errors.items():
        typer.echo(f"triaffect: {name}: {error}", err=True)
    if common is None:
        raise RunError("at least one entry that the store can serve", "none", where=store)
    settings = ComparisonSettings(store, common, threads, leaks, torch_device)
    done = _run_all(_jobs(entries, errors), settings, jobs or count_cores(), cluster)
    resampling = Resampling(resamples=resamples)
    comparison = compare_systems(entries, done, common, baseline, resampling, errors, str(store))
    _print(comparison)
    if json_ is not None:
        write_json(json_, comparison.to_json())
    if report is not None:
        comparison_page(comparison).write(report)
    name_outputs(json_, report, output if output.is_dir() else None)
    if comparison.failed:
        raise typer.Exit(1)


def _jobs(entries: Sequence[ComparedRecipe], errors: dict[str, str]) -> list[RunJob]:
    """List the runs of the entries that have inputs: the first seed of all, then the second."""
    from triaffect.evaluation.comparison.runs import RunJob

    jobs = [
        (number, RunJob(entry.name, seed, entry.recipe, entry.runs[seed], entry.initial))
        for entry in entries
        if entry.name not in errors
        for number, seed in enumerate(sorted(entry.runs))
    ]
    return [job for _, job in sorted(jobs, key=lambda each: each[0])]


def _run_all(
    jobs: Sequence[RunJob], settings: ComparisonSettings, processes: int, cluster: Engine | None
) -> list[RunOutcome]:
    """Do the runs, and write a line on stderr as each ends."""
    from contextlib import closing

    from triaffect.evaluation.comparison.runs import run_jobs

    done: list[RunOutcome] = []
    with progress_bar() as progress:

        def report(count: int, text: str) -> None:
            progress(count, len(jobs), text)

        with closing(run_jobs(jobs, settings, processes, report, cluster)) as outcomes:
            for outcome in outcomes:
                line = _line(outcome, done)
                done.append(outcome)
                progress(len(done), len(jobs), f"{outcome.job.entry}, seed {outcome.job.seed}")
                line = f"[{len(done)}/{len(jobs)}] {line}"
                if outcome.error:
                    typer.echo(line, err=True)
                elif outcome.trained:
                    progress_line(line)
    return done


def _line(outcome: RunOutcome, before: Sequence[RunOutcome]) -> str:
    name = f"{outcome.job.entry}, seed {outcome.job.seed}"
    if outcome.error:
        is_repeated = any(each.error == outcome.error for each in before)
        return f"{name} failed: {'likewise' if is_repeated else outcome.error}"
    seconds = sum(stage.seconds for stage in outcome.stages.values())
    return f"{name}: trained in {seconds:,.0f} s"


def _print(comparison: Comparison) -> None:
    from rich.console import Console

    from triaffect.cli._tables import comparison_tables

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_FILE_WIDTH)
    for table in comparison_tables(comparison):
        console.print(table, "")

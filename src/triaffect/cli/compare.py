"""``triaffect compare``: recipes and runs, over seeds, with what their differences are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triaffect.cli._shared import (
    AllowLeak,
    DropLeak,
    leak_choice,
    progress_bar,
)
from triaffect.cli.evaluate import RESAMPLES
from triaffect.cli.train import DeviceName
from triaffect.errors import RunError
from triaffect.io.atomic import check_output, write_json

if TYPE_CHECKING:
    from triaffect.evaluation.comparison.runs import Job, Outcome, Settings
    from triaffect.evaluation.comparison.systems import Entry

SEEDS = 3
_FILE_WIDTH = 120
"""Letters of a line where standard output is a file, which has no width of its own."""


def compare(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT",
            help="Recipe files, names of shipped recipes, folders of finished runs.",
        ),
    ],
    store: Annotated[Path, typer.Option(help="Feature store to learn from and to score on.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs that are missing.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each recipe.")] = SEEDS,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first of them.")] = 0,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change all recipes; may be repeated."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Compare with this entry, or entry/stage.", show_default="first"
        ),
    ] = None,
    *,
    jobs: Annotated[int, typer.Option(min=1, help="Runs trained at a time.")] = 1,
    device: Annotated[
        DeviceName, typer.Option(help="Where missing runs are trained; all are scored on the cpu.")
    ] = DeviceName.CPU,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads of each run.")] = 1,
    resamples: Annotated[
        int, typer.Option("--bootstrap", min=0, help="Resamples; 0: no intervals.")
    ] = RESAMPLES,
    json_: Annotated[Path | None, typer.Option("--json", help="Write everything here.")] = None,
    allow_leak: AllowLeak = False,
    drop_leak: DropLeak = False,
    html: Annotated[Path | None, typer.Option(help="Write a page to look at here.")] = None,
) -> None:
    """Train what is missing, and tell recipes or runs apart: scores, spread, differences, cost."""
    from triaffect.evaluation.comparison.common_rows import common_rows
    from triaffect.evaluation.comparison.results import compared, find_baseline
    from triaffect.evaluation.comparison.runs import Settings
    from triaffect.evaluation.comparison.systems import find_entries
    from triaffect.evaluation.evaluate import Resampling
    from triaffect.features.store import FeatureStore
    from triaffect.training.device import TorchDevice
    from triaffect.training.view import LeakChoice

    for path in filter(None, (json_, html)):
        check_output(path)
    opened, compute_device = FeatureStore.open(store), TorchDevice.named(device)
    leaks = leak_choice(allow=allow_leak, drop=drop_leak) or LeakChoice.REFUSE
    wanted = range(first_seed, first_seed + seeds)
    entries = find_entries(what, opened, out, wanted, set_ or (), leaks)
    baseline = find_baseline(entries, against)
    common, errors = common_rows(entries, opened, split)
    for name, error in errors.items():
        typer.echo(f"triaffect: {name}: {error}", err=True)
    if common is None:
        raise RunError("at least one entry that the store can serve", "none", where=store)
    settings = Settings(store, common, threads, leaks, compute_device)
    done = _work(_jobs(entries, errors), settings, jobs)
    found = compared(entries, done, common, baseline, Resampling(resamples))
    found = {"store": str(store), **found, "failed": _failed(done, errors)}
    _print(found)
    if json_ is not None:
        write_json(json_, found)
    if html is not None:
        _write_page(html, found)
    if found["failed"]:
        raise typer.Exit(1)


def _jobs(entries: Sequence[Entry], errors: dict[str, str]) -> list[Job]:
    """Every run of the entries that can be asked: the first seed of all, then the second."""
    from triaffect.evaluation.comparison.runs import Job

    found = [
        (place, Job(entry.name, seed, entry.recipe, entry.runs[seed]))
        for entry in entries
        if entry.name not in errors
        for place, seed in enumerate(sorted(entry.runs))
    ]
    return [job for _, job in sorted(found, key=lambda each: each[0])]


def _work(todo: Sequence[Job], settings: Settings, processes: int) -> list[Outcome]:
    """Do the runs, and tell of each on stderr as it ends."""
    from contextlib import closing

    from triaffect.evaluation.comparison.runs import outcomes

    done: list[Outcome] = []
    with progress_bar() as told:

        def word(count: int, text: str) -> None:
            told(count, len(todo), text)

        with closing(outcomes(todo, settings, processes, word)) as results:
            for outcome in results:
                line = _line(outcome, done)
                done.append(outcome)
                told(len(done), len(todo), f"{outcome.job.entry}, seed {outcome.job.seed}")
                if outcome.trained or outcome.error:
                    typer.echo(f"[{len(done)}/{len(todo)}] {line}", err=True)
    return done


def _line(outcome: Outcome, before: Sequence[Outcome]) -> str:
    name = f"{outcome.job.entry}, seed {outcome.job.seed}"
    if outcome.error:
        is_known = any(each.error == outcome.error for each in before)
        return f"{name} failed: {'likewise' if is_known else outcome.error}"
    seconds = sum(stage.seconds for stage in outcome.stages.values())
    return f"{name}: trained in {seconds:,.0f} s"


def _failed(done: Sequence[Outcome], errors: dict[str, str]) -> list[dict[str, Any]]:
    lost = [{"entry": name, "seed": None, "error": error} for name, error in errors.items()]
    return lost + [
        {"entry": each.job.entry, "seed": each.job.seed, "error": each.error}
        for each in done
        if each.error
    ]


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console

    from triaffect.cli._tables import comparison_tables

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_FILE_WIDTH)
    for table in comparison_tables(found):
        console.print(table, "")


def _write_page(path: Path, found: dict[str, Any]) -> None:
    from triaffect.report.comparison_page import compared_page

    compared_page(found).write(path)

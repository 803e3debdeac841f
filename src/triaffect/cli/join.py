"""``triaffect join``: features of another program into a store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli._shared import progress_bar
from triaffect.errors import StoreError

if TYPE_CHECKING:
    from triaffect.features.external.join import JoinReport
    from triaffect.features.store import FeatureStore

_NAMED = 10
"""Names told of each kind; more are counted."""


EXAMPLES = (
    "triaffect join STORE FEATURES --name w2v --rate 50",
    "triaffect join STORE openface.csv --name openface --per-frame --columns 'AU*_r'",
)


def join(
    store: Annotated[Path, typer.Argument(help="The feature store.", show_default=False)],
    features: Annotated[
        Path,
        typer.Argument(
            help="Folder with a .npy, .parquet or .csv file a source, or one table of all.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the stream, a-z 0-9 _.", show_default=False)],
    rate: Annotated[
        float | None, typer.Option(help="Rows a second: row i is at i / rate.", show_default=False)
    ] = None,
    per_frame: Annotated[
        bool, typer.Option("--per-frame", help="A row a frame: row i is at frame i.")
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            help="Columns of tables, comma-separated; patterns such as 'AU*_r' too.",
            show_default="all numbers of a .parquet table",
        ),
    ] = None,
    offset: Annotated[float, typer.Option(help="Seconds added to every row's time.")] = 0.0,
    dtype: Annotated[str, typer.Option(help="float32, or float16 for half the room.")] = "float32",
    any_face: Annotated[
        bool, typer.Option("--any-face", help="Pass over face_id: rows count for every face.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop what the stream holds and join afresh.")
    ] = False,
) -> None:
    """Join features that another program made to a store, as a stream for recipes to use.

    A file is named by its source's id, or the last part of it. What is joined already is skipped,
    so run it again to resume; a broken file is named and the rest joined, with exit code 1.
    """
    from triaffect.features.external.join import join as run
    from triaffect.features.external.join import stream_spec
    from triaffect.features.store import FeatureStore

    if (rate is None) == (not per_frame):
        raise StoreError("--rate or --per-frame", "neither" if rate is None else "both")
    patterns = tuple(part.strip() for text in columns or () for part in text.split(","))
    spec = stream_spec(name, rate, offset, patterns, dtype, any_face)
    opened = FeatureStore.open(store)
    with progress_bar() as progress:
        report = run(opened, features, spec, replace, progress)
    _report(report, opened, name)
    if report.mistakes:
        raise typer.Exit(1)


def _report(report: JoinReport, store: FeatureStore, name: str) -> None:
    """Warnings for what was not joined, and one line on what was."""
    from triaffect.datasets.windows import external_rows

    for source, message in report.mistakes.items():
        sys.stderr.write(f"triaffect: warning: {source} is left out: {message}\n")
    for kind, names in (
        ("sources without features", report.without),
        ("files or names without a source", report.unused),
    ):
        if names:
            more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            listed = ", ".join(names[:_NAMED])
            sys.stderr.write(f"triaffect: warning: {len(names)} {kind}: {listed}{more}\n")
    stream = store.external(name)
    has_row = external_rows(store, stream, store.moments) >= 0
    share = f"{100 * has_row.mean():.1f} % of {len(has_row)}" if len(has_row) else "none of 0"
    typer.echo(
        f"{store.path}: {name}, {stream.spec.dim} values a row: joined {report.added} sources "
        f"({report.rows} rows, {report.absent} more left out as not finite) in "
        f"{report.seconds:.1f} s; {report.there} were there; {share} labelled moments have a row"
    )

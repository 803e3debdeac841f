"""Feature stores: ``triaffect extract`` makes one of a corpus, ``triaffect join`` adds to it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli._shared import (
    EngineName,
    EngineOption,
    JobsOption,
    RayAddressOption,
    make_cluster,
    output_option,
    progress_bar,
    sound_track_option,
    warn,
    warn_of_unread,
)
from triaffect.errors import MediaError, StoreError
from triaffect.io.durations import parse_duration
from triaffect.io.workers import count_cores

if TYPE_CHECKING:
    from triaffect.features.external.join import JoinReport
    from triaffect.features.extraction import ExtractionReport
    from triaffect.features.store import FeatureStore

EXAMPLES = (
    "triaffect extract DATA -o STORE",
    "triaffect extract DATA -o STORE --face none --voice logmel64 --jobs 4",
)
RENAMED = {"--out": "--output"}

_LONGEST_DELAY_S = 10.0
"""Raters' delays are known from 0.2 s to 6 s; more is a mistake in the unit."""


def extract(
    corpus: Annotated[
        Path,
        typer.Argument(
            help="Folder or file of the corpus, or a store of gray crops.", show_default=False
        ),
    ],
    output: Annotated[Path, output_option("The store: made, resumed, or added to.")],
    face: Annotated[
        str,
        typer.Option(
            help="Face extractor: default, gray64, gray64_close, none, or a model folder."
        ),
    ] = "default",
    voice: Annotated[
        str,
        typer.Option(
            help="Voice extractor: default, logmel64, logmel64_pitch, none, or a model folder."
        ),
    ] = "default",
    jobs: JobsOption = None,
    engine: EngineOption = EngineName.PROCESSES,
    ray_address: RayAddressOption = None,
    va_delay: Annotated[
        str,
        typer.Option(
            help="How long raters of valence and arousal lag behind, such as 0.4s or 400ms."
        ),
    ] = "0s",
    *,
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also keep labels of a task of another package, such as my_module:ENGAGEMENT; "
            "may be repeated. Those of installed packages are kept anyway.",
        ),
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(
            help="Read the corpus with a class of another package, such as my_module:MyCorpus.",
            show_default="the first that recognizes the corpus",
        ),
    ] = None,
    labels_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MAPPING=FILE",
            help="Add labels from another program's table, or a folder of one a clip: openface, "
            "blendshapes, or a TOML file of a mapping; category_means alone derives valence and "
            "arousal from votes. May be repeated.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of a corpus of own media.", show_default="media or table"),
    ] = None,
    test_share: Annotated[
        float,
        typer.Option(
            help="Share of the people to test on, where a table names no splits.", min=0, max=0.9
        ),
    ] = 0.0,
    validation_share: Annotated[
        float, typer.Option(help="Share of the people to validate on, likewise.", min=0, max=0.9)
    ] = 0.0,
    sound_track: Annotated[int | None, sound_track_option()] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only the first so many sources.", min=1, show_default=False)
    ] = None,
) -> None:
    """Run face and voice extractors over a corpus and keep the results in a feature store.

    Sources that the store has already are skipped, so an interrupted extraction is resumed by
    running it again; but one whose files or labels have changed since is refused. A source that
    cannot be read is named at the end, and makes the exit code 1.
    """
    from triaffect.corpora.rater_delay import DelayedRatings
    from triaffect.corpora.soft_labels import open_with_labels
    from triaffect.features.crop_store import extract_from_crops, is_store
    from triaffect.features.extraction import extract as run
    from triaffect.io.engines import Processes
    from triaffect.tasks.registry import resolve_tasks

    if is_store(corpus):
        of_media = task, reader, labels_from, name, limit, sound_track
        others = test_share, validation_share, engine is not EngineName.PROCESSES
        if any((*of_media, *others)) or parse_duration(va_delay, "--va-delay"):
            expected, got = "a store of crops with its own labels", "an option for reading media"
            raise StoreError(expected, got, "leave it out, or extract the media", where=corpus)
        with progress_bar() as progress:
            _report(extract_from_crops(corpus, output, face, voice, progress), output, corpus)
        return
    workers = make_cluster(engine, ray_address, jobs) or Processes(jobs or count_cores())
    delay_s = parse_duration(va_delay, "--va-delay", what="a delay", most_s=_LONGEST_DELAY_S)
    resolve_tasks(task or ())
    opened = open_with_labels(
        corpus,
        labels_from or (),
        reader=reader,
        name=name,
        test_share=test_share,
        validation_share=validation_share,
    )
    warn_of_unread(opened)
    if delay_s:
        opened = DelayedRatings(opened, delay_s)
        if still := opened.unmoved():
            some = f"{len(still)} sources, such as {still[0]}"
            warning = f"--va-delay moves no labels of unrelated pictures: {some}"
            sys.stderr.write(f"triaffect: warning: {warning}\n")
    with progress_bar() as progress:
        report = run(opened, output, face, voice, workers, limit, progress, sound_track=sound_track)
    shares = {"--test-share": test_share, "--validation-share": validation_share}
    if report.added + report.there:
        _warn_of_splits(output, opened.name, [option for option, share in shares.items() if share])
    _report(report, output, corpus)


def _report(report: ExtractionReport, output: Path, corpus: Path) -> None:
    """Name what is not in the store, and count what is; exit with 1 if sources are left out."""
    _warn_of_sources(report)
    if not report.added + report.there:
        raise MediaError(
            "a source that can be read", "none", "see the warnings above", where=corpus
        )
    typer.echo(
        f"{output}: added {report.added} sources ({report.faces} face rows, {report.voices} voice "
        f"rows, {report.moments} labelled moments) in {report.seconds:.1f} s; "
        f"{report.there} were there; {len(report.failures)} left out"
    )
    if report.failures:
        raise typer.Exit(1)


def _warn_of_splits(output: Path, name: str, options: list[str]) -> None:
    """Warn where a corpus has so few people that a share of them is nobody."""
    import numpy as np

    from triaffect.features.store import FeatureStore

    moments = FeatureStore.open(output).moments if options else None
    if moments is None or not len(moments):
        return
    source, person, split = map(moments.dictionary_column, ("source", "person", "split"))
    own = np.array([each.partition("/")[0] == name for each in source.values])[source.codes]
    for option in options:
        of = option.removeprefix("--").removesuffix("-share")
        if own.any() and not (own & (split == of)).any():
            people = len(np.unique(person.codes[own]))
            warn(f"{option}: nobody of {name} is in the {of} split (its people: {people:,})")


def _warn_of_sources(report: ExtractionReport) -> None:
    """Name the sources that are left out, or not wholly in the store, and mistakes of them all."""
    for kind, messages in (
        ("left out", report.failures),
        ("incomplete", report.problems),
        ("read doubtfully", report.remarks),
    ):
        for source, message in messages.items():
            sys.stderr.write(f"triaffect: warning: {source} is {kind}: {message}\n")
    shown = {message.partition(": ")[2] for message in report.failures.values()}
    for mistake in report.mistakes:
        if mistake not in shown:
            sys.stderr.write(f"triaffect: warning: {mistake}\n")


_NAMED = 10
"""Names told of each kind; more are counted."""

JOIN_EXAMPLES = (
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
    _report_join(report, opened, name)
    if report.mistakes:
        raise typer.Exit(1)


def _report_join(report: JoinReport, store: FeatureStore, name: str) -> None:
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

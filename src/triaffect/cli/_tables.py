"""Tables that commands print on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from triaffect.corpora.integrity import SMALL_FACE_PX, ColumnSums, LabelReport, MediaReport, Quiet
from triaffect.report.comparison_page import (
    COST_HEADS,
    FEW_UNITS,
    cost_cells,
    describe_comparison,
    difference_cells,
    format_score,
    star,
)
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import CORPUS_SPLITS

if TYPE_CHECKING:
    from triaffect.evaluation.comparison.results import Comparison
    from triaffect.evaluation.results import (
        AuthorsResult,
        Evaluation,
        RowsResult,
        TaskResult,
    )

_WIDTH = 7
"""Letters of a part's or a class's name above its column."""

COUNTS = ("support", "predicted", "rows")
"""Numbers of rows among the figures of a part."""


def comparison_tables(comparison: Comparison) -> Iterator[Table | str]:
    """Make tables of each official score with differences, of the parts of each, and of cost.

    Args:
        comparison: The comparison.

    Yields:
        A paragraph, then the tables; nothing if no system could be scored.
    """
    if not comparison.systems:
        return
    yield describe_comparison(comparison)
    names = comparison.score_names()
    for name in (each for each in names if "." not in each):
        yield _score_table(comparison, name)
    for key in dict.fromkeys(name.partition(".")[0] for name in names if "." in name):
        yield _parts_table(comparison, key, [name for name in names if name.startswith(f"{key}.")])
    table = _titled_table("cost, means over seeds", is_wide=True)
    for heading in COST_HEADS:
        table.add_column(heading, justify="right")
    for system, each in comparison.systems.items():
        table.add_row(system, *cost_cells(each.cost))
    yield table


def _score_table(comparison: Comparison, name: str) -> Table:
    table = _titled_table(name, is_wide=True)
    for heading in ("seeds", "score", "difference", "interval", "", "better"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for system, each in comparison.systems.items():
        if name in each.mean:
            gap = difference_cells(each, name, is_baseline=system == comparison.baseline)
            table.add_row(system, str(len(each.seeds)), format_score(each, name), *gap)
    return table


def _parts_table(comparison: Comparison, key: str, names: Sequence[str]) -> Table:
    """Show means of the parts of one task's score, starred where they differ clearly."""
    table = _titled_table(f"{key}, part by part", is_wide=True)
    for name in names:
        table.add_column(name.removeprefix(f"{key}.")[:_WIDTH], justify="right", no_wrap=True)
    for system, each in comparison.systems.items():
        if names[0] in each.mean:
            gaps = each.difference or {}
            cells = [f"{each.mean[name]:.2f}{star(gaps.get(name))}" for name in names]
            table.add_row(system, *cells)
    return table


def evaluation_tables(evaluation: Evaluation) -> Iterator[Table]:
    """Make an overview, then each stage's parts, confusions and other score.

    Args:
        evaluation: The evaluation.
    """
    yield _overview(evaluation)
    for name, stage in evaluation.stages.items():
        for key, task in stage.overall.tasks.items():
            if task.count and task.by_part:
                intervals = stage.overall.intervals
                ends = intervals.parts.get(key) if intervals else None
                yield _part_scores(f"{name}: {key}", task, ends)
            if task.count and task.confusion:
                names = evaluation.parts[key]
                yield _confusion(f"{name}: {key}", task.confusion, names)
        if stage.authors is not None:
            yield _authors(name, stage.authors)


def _overview(evaluation: Evaluation) -> Table:
    """Show official scores by stage and corpus, with intervals below."""
    table = _titled_table(f"official scores, split {evaluation.split}")
    table.caption, table.caption_justify = _caption(evaluation), "left"
    for name in ("rows", *evaluation.chance):
        table.add_column(name, justify="right")
    for stage, scores in evaluation.stages.items():
        parts = {stage: scores.overall}
        if len(scores.corpora) > 1:
            parts |= {f"  {corpus}": one for corpus, one in scores.corpora.items()}
        for name, one in parts.items():
            ends: Mapping[str, Sequence[float] | None] = (
                one.intervals.official if one.intervals else {}
            )
            absent = _unlabelled(one)
            cells = [
                "" if key in absent else _number(value, ends.get(key))
                for key, value in one.official.items()
            ]
            table.add_row(name, f"{one.rows:,}", *cells)
    absent = _unlabelled(next(iter(evaluation.stages.values())).overall)
    cells = ["" if key in absent else _number(value) for key, value in evaluation.chance.items()]
    table.add_row("chance", "", *cells)
    if best := evaluation.reachable:
        cells = [_number(best[name]) if name in best else "" for name in evaluation.chance]
        table.add_row("best reachable", "", *cells)
    return table


def _unlabelled(scores: RowsResult) -> set[str]:
    """Name the scores of tasks without labels in some rows."""
    return {f"P_{key}" for key, task in scores.tasks.items() if not task.count}


def _caption(evaluation: Evaluation) -> str:
    resampling = evaluation.resampling
    lost = ""
    if evaluation.unscored_rows:
        count = f"{evaluation.unscored_rows:,}"
        lost = f"{count} more labelled rows have no input and are not scored. "
    if not resampling.resamples:
        return lost
    units = {
        key: count
        for stage in evaluation.stages.values()
        if stage.overall.intervals
        for key, count in stage.overall.intervals.units.items()
    }
    several = ", ".join(f"{count:,} {key}" for key, count in units.items())
    fewest = min((count for count in units.values() if count), default=FEW_UNITS)
    few = " So few make it too narrow." if fewest < FEW_UNITS else ""
    return (
        f"{lost}Below each score its {resampling.level:.0%} interval: {resampling.resamples:,} "
        f"resamples, seed {resampling.seed}, of whole videos (stills: of people) with labels: "
        f"{several}.{few}"
    )


def _part_scores(
    title: str, task: TaskResult, intervals: Mapping[str, Sequence[float] | None] | None
) -> Table:
    """Show the figures behind one task's score, a line for each class, unit or value."""
    table, by_part = _titled_table(title), task.by_part or {}
    first, *others = next(iter(by_part.values()))
    table.add_column(first, justify="right")
    if intervals:
        table.add_column("interval", justify="right", no_wrap=True)
    for name in others:
        words = name.split("_")
        table.add_column(" ".join(words), justify="right", min_width=max(map(len, words)))
    for part, figures in by_part.items():
        score, *cells = (f"{v:,}" if k in COUNTS else f"{v:.3f}" for k, v in figures.items())
        if intervals:
            ends = intervals[part]
            cells.insert(0, f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else "one unit")
        table.add_row(part, score, *cells)
    return table


def _confusion(title: str, counts: list[list[int]], names: list[str]) -> Table:
    """Show true classes down, predicted ones across; a column of blanks only if there are any."""
    table = _titled_table(f"{title}, true down, predicted across")
    blanks = any(row[-1] for row in counts)
    for name in [*names, *(["none"] if blanks else [])]:
        table.add_column(name[:_WIDTH], justify="right")
    for name, row in zip(names, counts, strict=True):
        table.add_row(name, *(f"{count:,}" for count in (row if blanks else row[:-1])))
    return table


def _authors(name: str, authors: AuthorsResult) -> Table:
    """Show the authors' score of each pool, its spread over shuffles, and the official one."""
    seeds = authors.seeds
    title = f"{name}: the authors' mean over {authors.iterations:,} mini-batches"
    table = _titled_table(title, "pool")
    for column in ("rows", "a batch", "score", f"seed {seeds[0]}"):
        table.add_column(column, justify="right")
    table.add_column(f"seeds {seeds[0]} to {seeds[-1]}", justify="right")
    table.add_column("official", justify="right")
    for pool, one in authors.pools.items():
        first = [pool, f"{one.rows:,}", f"{one.batch:,}"]
        for key, values in one.authors.items():
            spread = f"{min(values):.3f} to {max(values):.3f}"
            table.add_row(*first, key, f"{values[0]:.3f}", spread, f"{one.official[key]:.3f}")
            first = ["", "", ""]
    return table


def _titled_table(title: str, first: str = "", *, is_wide: bool = False) -> Table:
    """Make a table with its first column, which may have room for long names."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    if is_wide:
        table.add_column(first, min_width=max(12, len(title)), overflow="fold")
    else:
        table.add_column(first)
    return table


def _number(value: float, ends: Sequence[float] | None = None) -> str:
    return f"{value:.3f}" + (f"\n{ends[0]:.2f} to {ends[1]:.2f}" if ends else "")


_NAMED = 3
"""How many sources or people a line names before it only counts."""

_LABEL_WIDTH = 36
"""Letters of what a line is about, before its value."""

_SPLITS = tuple(str(split) for split in CORPUS_SPLITS)


def corpus_page(
    name: str, survey: LabelReport, media: MediaReport | None, tasks: Sequence[Task] = TASKS
) -> Iterator[RenderableType]:
    """Make everything that `corpus check` prints, from top to bottom.

    Args:
        name: The corpus's name.
        survey: What its labels hold.
        media: What its media are like; None if they were not opened.
        tasks: The tasks whose labels are listed.

    Yields:
        Lines and tables; what there is nothing to say of is left out.
    """
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(survey.sources.items()))
    yield _line(f"{name}, sources", kinds)
    if survey.rows:
        yield _line("people", f"{len(survey.people):,}")
        yield _line("videos or recordings", f"{len(survey.videos):,}")
    else:
        yield _line("labels", "none")
    yield Text()
    for table in (
        _rows_table(survey),
        _annotated_table(survey, tasks),
        _labels_table(survey, tasks),
    ):
        if table.row_count:
            yield table
            yield Text()
    yield from _media(survey, media)
    yield from _leaks(survey)
    yield _line("mistakes and broken files", f"{len(wrong_lines(survey, media)):,}")


def wrong_lines(survey: LabelReport, media: MediaReport | None) -> list[str]:
    """List every mistake in a label file and every broken file, once.

    Args:
        survey: What the labels hold.
        media: What the media are like; None if they were not opened.
    """
    return list(dict.fromkeys([*map(str, survey.errors), *(media.broken if media else ())]))


def _rows_table(survey: LabelReport) -> Table:
    table = _split_table("rows by label set")
    for label_set in dict.fromkeys(label_set for label_set, _ in sorted(survey.rows)):
        table.add_row(label_set, *(_count(survey.rows[label_set, split]) for split in _SPLITS))
    if table.row_count > 1:
        table.add_row("all", *(_count(survey.split_rows[split]) for split in _SPLITS))
    return table


def _annotated_table(survey: LabelReport, tasks: Sequence[Task]) -> Table:
    """Rows with a label of each task, alone and together, and their share of the split's."""
    table = _split_table("rows with labels of")

    def add(name: str, count: Callable[[str], int]) -> None:
        if any(count(split) for split in _SPLITS):
            table.add_row(name, *(_share(count(s), survey.split_rows[s]) for s in _SPLITS))

    for task in tasks:
        add(task.key, lambda split, key=task.key: survey.annotated[key, split])  # type: ignore[misc]
        add(
            f"  {task.key}, some missing",
            lambda split, key=task.key: survey.annotated[key, split] - survey.complete[key, split],  # type: ignore[misc]
        )
    order = {task.key: k for k, task in enumerate(tasks)}
    sets = {keys for keys, _ in survey.together}
    if len(sets) == 1:
        return table
    for keys in sorted(sets, key=lambda keys: (len(keys), [order[key] for key in keys])):
        name = " + ".join(keys) + (" alone" if len(keys) == 1 else "")
        add(name or "none", lambda split, keys=keys: survey.together[keys, split])  # type: ignore[misc]
    return table


def _labels_table(survey: LabelReport, tasks: Sequence[Task]) -> Table:
    """Every label column: how many rows show it, or mean and deviation."""
    table = _split_table("labels given")
    for task in tasks:
        for column in task.columns:
            cells = [_label(survey, task, column, split) for split in _SPLITS]
            if any(cells):
                table.add_row(column, *cells)
    return table


def _label(survey: LabelReport, task: Task, column: str, split: str) -> str:
    sums = survey.columns.get((column, split), ColumnSums())
    if not sums.count:
        return ""
    if task.exclusive:
        return _share(survey.classes[column, split], survey.complete[task.key, split], zero=True)
    if task.display_range[0] >= 0:
        return _share(round(sums.total), sums.count, zero=True)
    return f"{sums.mean:+.2f} ± {sums.deviation:.2f}"


def _media(survey: LabelReport, media: MediaReport | None) -> Iterator[Text]:
    yield from _named("no images, video or sound to read", survey.without_media)
    quiet = [*survey.without_sound, *(media.quiet[Quiet.MISSING] if media else ())]
    yield from _named("no sound beside the picture", quiet)
    if media is None:
        return
    yield _line("sources with sound to hear", f"{media.audible:,} of {media.sources:,}")
    if media.pictures:
        yield _line("pictures and frames decoded", f"{media.pictures:,}")
    if media.searched:
        size = f", by median {median(media.face_px.values()):.0f} px" if media.face_px else ""
        share = media.with_faces / media.searched
        shown = f"{media.with_faces:,} of {media.searched:,} ({share:.1%}){size}"
        yield _line("faces in them", f"{shown}; {media.searched_sources:,} sources")
    small = [f"{name} {size:.0f} px" for name, size in media.small.items()]
    yield from _named(f"faces smaller than {SMALL_FACE_PX} px", small)
    yield from _named("no face found", media.faceless)
    yield from _named("silent", media.quiet[Quiet.SILENT])
    short = [f"{name} {sound:.1f} of {all_:.1f} s" for name, (sound, all_) in media.short_s.items()]
    yield from _named("sound shorter than the picture", short)
    yield from _named("broken", media.broken_sources)


def _leaks(survey: LabelReport) -> Iterator[Text]:
    """Loud lines: training refuses such a corpus."""
    people, videos = survey.shared_people, survey.shared_videos
    yield from _named("LEAK: people in several splits", _with_splits(people))
    yield from _named("LEAK: videos in several splits", _with_splits(videos))
    if people or videos:
        yield _line("", "train refuses them without --drop-leak or --allow-leak")
    yield from _named(
        "people alike but for capitals or spaces", [" and ".join(p) for p in survey.alike_people]
    )


def _with_splits(splits: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{name}: {'/'.join(its)}" for name, its in splits.items()]


def _named(what: str, names: Sequence[str]) -> Iterator[Text]:
    if names:
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        yield _line(what, f"{len(names):,} ({', '.join(names[:_NAMED])}{more})")


def _line(what: str, value: str) -> Text:
    return Text(f"{what:<{_LABEL_WIDTH}}{value}")


def _split_table(first: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, min_width=20)
    for split in _SPLITS:
        table.add_column(split, justify="right", min_width=16)
    return table


def _count(rows: int) -> str:
    return f"{rows:,}" if rows else ""


def _share(count: int, of: int, *, zero: bool = False) -> str:
    return f"{count:,} ({count / of:.1%})" if count or (zero and of) else ""

"""Tables that commands print on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from triaffect.corpora.integrity import ColumnSums, Survey
from triaffect.features.media_check import SMALL_FACE_PX, MediaReport, Quiet
from triaffect.report.comparison_page import (
    COST_HEADS,
    FEW_UNITS,
    cost_cells,
    difference_cells,
    explained,
    mark,
    score_names,
    with_deviation,
)
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import CORPUS_SPLITS

_WIDTH = 7
"""Letters of a part's name above its column."""


def comparison_tables(found: Mapping[str, Any]) -> Iterator[Table | str]:
    """Each official score with differences, the parts of each task's score, and cost."""
    systems = found["systems"]
    if not systems:
        return
    yield explained(found)
    names = score_names(systems)
    for name in (each for each in names if "." not in each):
        yield _score(name, systems, found["baseline"])
    for key in dict.fromkeys(name.partition(".")[0] for name in names if "." in name):
        yield _parts(key, [name for name in names if name.startswith(f"{key}.")], systems)
    yield _cost(systems)


def _score(name: str, systems: Mapping[str, Any], baseline: str) -> Table:
    table = _table(name)
    for head in ("seeds", "score", "difference", "interval", "", "better"):
        table.add_column(head, justify="left" if not head else "right", no_wrap=True)
    for system, told in systems.items():
        if name in told["mean"]:
            score = with_deviation(told["mean"][name], told["sd"][name])
            gap = difference_cells(told, name, is_baseline=system == baseline)
            table.add_row(system, str(len(told["seeds"])), score, *gap)
    return table


def _parts(key: str, names: Sequence[str], systems: Mapping[str, Any]) -> Table:
    """Means of the parts of one task's score, starred where they differ from the baseline's."""
    table = _table(f"{key}, part by part")
    for name in names:
        table.add_column(name.removeprefix(f"{key}.")[:_WIDTH], justify="right", no_wrap=True)
    for system, told in systems.items():
        if names[0] in told["mean"]:
            gaps = told.get("difference", {})
            cells = [f"{told['mean'][name]:.2f}{mark(gaps.get(name))}" for name in names]
            table.add_row(system, *cells)
    return table


def _cost(systems: Mapping[str, Any]) -> Table:
    table = _table("cost, means over seeds")
    for head in COST_HEADS:
        table.add_column(head, justify="right")
    for system, told in systems.items():
        table.add_row(system, *cost_cells(told["cost"]))
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", min_width=max(12, len(title)), overflow="fold")
    return table


COUNTS = ("support", "predicted", "rows")
"""Numbers of rows among what is told of a part."""

_CLASS_WIDTH = 7


def evaluation_tables(found: Mapping[str, Any]) -> Iterator[Table]:
    """Everything worth reading: overview, then each stage's parts, confusions, other score."""
    yield _overview(found)
    for name, scores in found["stages"].items():
        for key, task in scores["all"]["tasks"].items():
            if task["count"] and "by_part" in task:
                intervals = scores["all"].get("intervals", {}).get("parts", {}).get(key, {})
                yield _parts_evaluate_tables(f"{name}: {key}", task, intervals)
            if task["count"] and "confusion" in task:
                yield _confusion(f"{name}: {key}", task["confusion"], found["parts"][key])
        if "authors" in scores:
            yield _authors(name, scores["authors"])


def _overview(found: Mapping[str, Any]) -> Table:
    """Official scores by stage and corpus, with intervals below."""
    table = _table_evaluate_tables(f"official scores, split {found['split']}", "")
    table.caption, table.caption_justify = _interval_caption(found), "left"
    for name in ("rows", *found["chance"]):
        table.add_column(name, justify="right")
    for stage, scores in found["stages"].items():
        parts = {stage: scores["all"]}
        if len(scores["corpora"]) > 1:
            parts |= {f"  {corpus}": one for corpus, one in scores["corpora"].items()}
        for name, one in parts.items():
            ends = one.get("intervals", {}).get("official", {})
            cells = [_number(value, ends.get(key)) for key, value in one["official"].items()]
            table.add_row(name, f"{one['rows']:,}", *cells)
    table.add_row("chance", "", *(_number(value) for value in found["chance"].values()))
    return table


def _interval_caption(found: Mapping[str, Any]) -> str:
    how = found["bootstrap"]
    lost = f"{found['unasked']:,} more labelled rows have no input and are not scored. "
    lost = lost if found["unasked"] else ""
    if not how["resamples"]:
        return lost
    units = {
        key: count
        for scores in found["stages"].values()
        for key, count in scores["all"]["intervals"]["units"].items()
    }
    several = ", ".join(f"{count:,} {key}" for key, count in units.items())
    fewest = min((count for count in units.values() if count), default=FEW_UNITS)
    few = " So few make it too narrow." if fewest < FEW_UNITS else ""
    return (
        f"{lost}Below each score its {how['level']:.0%} interval: {how['resamples']:,} resamples, "
        f"seed {how['seed']}, of whole videos (stills: of people) with labels: {several}.{few}"
    )


def _parts_evaluate_tables(
    title: str, task: Mapping[str, Any], intervals: Mapping[str, Any]
) -> Table:
    """What is behind one task's score, a line a class, unit or value."""
    table = _table_evaluate_tables(title, "")
    first, *others = next(iter(task["by_part"].values()))
    table.add_column(first, justify="right")
    if intervals:
        table.add_column("interval", justify="right", no_wrap=True)
    for name in others:
        words = name.split("_")
        table.add_column(" ".join(words), justify="right", min_width=max(map(len, words)))
    for part, told in task["by_part"].items():
        score, *cells = (f"{v:,}" if k in COUNTS else f"{v:.3f}" for k, v in told.items())
        table.add_row(part, score, *([_ends(intervals[part])] if intervals else []), *cells)
    return table


def _confusion(title: str, counts: list[list[int]], names: list[str]) -> Table:
    """True classes down, predicted ones across; the column of blanks only if there are any."""
    table = _table_evaluate_tables(f"{title}, true down, predicted across", "")
    blanks = any(row[-1] for row in counts)
    for name in [*names, *(["none"] if blanks else [])]:
        table.add_column(name[:_CLASS_WIDTH], justify="right")
    for name, row in zip(names, counts, strict=True):
        table.add_row(name, *(f"{count:,}" for count in (row if blanks else row[:-1])))
    return table


def _authors(name: str, told: Mapping[str, Any]) -> Table:
    """The authors' score of each pool, its spread over shuffles, and the official one."""
    seeds = told["seeds"]
    title = f"{name}: the authors' mean over {told['iterations']:,} mini-batches"
    table = _table_evaluate_tables(title, "pool")
    for column in ("rows", "a batch", "score", f"seed {seeds[0]}"):
        table.add_column(column, justify="right")
    table.add_column(f"seeds {seeds[0]} to {seeds[-1]}", justify="right")
    table.add_column("official", justify="right")
    for pool, one in told["pools"].items():
        first = [pool, f"{one['rows']:,}", f"{one['batch']:,}"]
        for key, values in one["authors"].items():
            spread = f"{min(values):.3f} to {max(values):.3f}"
            official = f"{one['official'][key]:.3f}"
            table.add_row(*first, key, f"{values[0]:.3f}", spread, official)
            first = ["", "", ""]
    return table


def _table_evaluate_tables(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first)
    return table


def _number(value: float, ends: list[float] | None = None) -> str:
    return f"{value:.3f}" + (f"\n{ends[0]:.2f} to {ends[1]:.2f}" if ends else "")


def _ends(ends: list[float] | None) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else "one unit"


_NAMED = 3
"""How many sources or people a line names before it only counts."""

_WIDTH_CORPUS_PAGE = 36
"""Letters of what a line is about, before its value."""

_SPLITS = tuple(str(split) for split in CORPUS_SPLITS)


def page(
    name: str, found: Survey, media: MediaReport | None, tasks: Sequence[Task] = TASKS
) -> Iterator[RenderableType]:
    """Everything that a user wants to see at a glance, from top to bottom.

    Args:
        name: The corpus's name.
        found: What its labels hold.
        media: What its media are like; None if nobody looked.
        tasks: The tasks whose labels are told.
    """
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.sources.items()))
    yield _shown(f"{name}, sources", kinds)
    if found.rows:
        yield _shown("people", f"{len(found.people):,}")
        yield _shown("videos or recordings", f"{len(found.videos):,}")
    else:
        yield _shown("labels", "none")
    yield Text()
    for table in (_rows_table(found), _given_table(found, tasks), _labels_table(found, tasks)):
        if table.row_count:
            yield table
            yield Text()
    yield from _media(found, media)
    yield from _leaks(found)
    yield _shown("mistakes and broken files", f"{len(wrong_lines(found, media)):,}")


def wrong_lines(found: Survey, media: MediaReport | None) -> list[str]:
    """Every mistake in a label file and every broken file, once."""
    return list(dict.fromkeys([*map(str, found.errors), *(media.broken if media else ())]))


def _rows_table(found: Survey) -> Table:
    table = _table_corpus_page("rows by label set")
    for label_set in dict.fromkeys(label_set for label_set, _ in sorted(found.rows)):
        table.add_row(label_set, *(_count(found.rows[label_set, split]) for split in _SPLITS))
    if table.row_count > 1:
        table.add_row("all", *(_count(found.split_rows[split]) for split in _SPLITS))
    return table


def _given_table(found: Survey, tasks: Sequence[Task]) -> Table:
    """Rows with a label of each task, alone and together, and their share of the split's."""
    table = _table_corpus_page("rows with labels of")

    def add(name: str, count: Callable[[str], int]) -> None:
        if any(count(split) for split in _SPLITS):
            table.add_row(name, *(_share(count(s), found.split_rows[s]) for s in _SPLITS))

    for task in tasks:
        add(task.key, lambda split, key=task.key: found.annotated[key, split])  # type: ignore[misc]
        add(
            f"  {task.key}, some missing",
            lambda split, key=task.key: found.annotated[key, split] - found.complete[key, split],  # type: ignore[misc]
        )
    order = {task.key: k for k, task in enumerate(tasks)}
    sets = {keys for keys, _ in found.together}
    if len(sets) == 1:
        return table
    for keys in sorted(sets, key=lambda keys: (len(keys), [order[key] for key in keys])):
        name = " + ".join(keys) + (" alone" if len(keys) == 1 else "")
        add(name or "none", lambda split, keys=keys: found.together[keys, split])  # type: ignore[misc]
    return table


def _labels_table(found: Survey, tasks: Sequence[Task]) -> Table:
    """Every label column: how many rows show it, or mean and deviation."""
    table = _table_corpus_page("labels given")
    for task in tasks:
        for column in task.columns:
            cells = [_label(found, task, column, split) for split in _SPLITS]
            if any(cells):
                table.add_row(column, *cells)
    return table


def _label(found: Survey, task: Task, column: str, split: str) -> str:
    sums = found.columns.get((column, split), ColumnSums())
    if not sums.count:
        return ""
    if task.exclusive:
        return _share(found.classes[column, split], found.complete[task.key, split], zero=True)
    if task.display_range[0] >= 0:
        return _share(round(sums.total), sums.count, zero=True)
    return f"{sums.mean:+.2f} ± {sums.deviation:.2f}"


def _media(found: Survey, media: MediaReport | None) -> Iterator[Text]:
    yield from _named("no images, video or sound to read", found.without_media)
    quiet = [*found.without_sound, *(media.quiet[Quiet.MISSING] if media else ())]
    yield from _named("no sound beside the picture", quiet)
    if media is None:
        return
    yield _shown("sources with sound to hear", f"{media.heard:,} of {media.sources:,}")
    if media.pictures:
        yield _shown("pictures and frames decoded", f"{media.pictures:,}")
    if media.searched:
        size = f", by median {median(media.face_px.values()):.0f} px" if media.face_px else ""
        shown = f"{media.found:,} of {media.searched:,} ({media.found / media.searched:.1%}){size}"
        yield _shown("faces in them", f"{shown}; {media.searched_sources:,} sources")
    small = [f"{name} {size:.0f} px" for name, size in media.small.items()]
    yield from _named(f"faces smaller than {SMALL_FACE_PX} px", small)
    yield from _named("no face found", media.faceless)
    yield from _named("silent", media.quiet[Quiet.SILENT])
    short = [f"{name} {sound:.1f} of {all_:.1f} s" for name, (sound, all_) in media.short_s.items()]
    yield from _named("sound shorter than the picture", short)
    yield from _named("broken", media.broken_sources)


def _leaks(found: Survey) -> Iterator[Text]:
    """Loud lines: training refuses such a corpus."""
    people, videos = found.shared_people, found.shared_videos
    yield from _named("LEAK: people in several splits", _with_splits(people))
    yield from _named("LEAK: videos in several splits", _with_splits(videos))
    if people or videos:
        yield _shown("", "train refuses them without --drop-leak or --allow-leak")
    yield from _named(
        "people alike but for capitals", [" and ".join(p) for p in found.alike_people]
    )


def _with_splits(splits: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{name}: {'/'.join(its)}" for name, its in splits.items()]


def _named(what: str, names: Sequence[str]) -> Iterator[Text]:
    if names:
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        yield _shown(what, f"{len(names):,} ({', '.join(names[:_NAMED])}{more})")


def _shown(what: str, value: str) -> Text:
    return Text(f"{what:<{_WIDTH}}{value}")


def _table_corpus_page(first: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, min_width=20)
    for split in _SPLITS:
        table.add_column(split, justify="right", min_width=16)
    return table


def _count(rows: int) -> str:
    return f"{rows:,}" if rows else ""


def _share(count: int, of: int, *, zero: bool = False) -> str:
    return f"{count:,} ({count / of:.1%})" if count or (zero and of) else ""

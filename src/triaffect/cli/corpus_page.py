"""The page that ``triaffect corpus check`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from triaffect.corpora.survey import ColumnSums, Survey
from triaffect.features.media_report import SMALL_FACE_PX, MediaReport, Quiet
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import Split

_NAMED = 3
"""How many sources or people a line names before it only counts."""

_WIDTH = 36
"""Letters of what a line is about, before its value."""

_SPLITS = tuple(str(split) for split in Split)


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
    table = _table("rows by label set")
    for label_set in dict.fromkeys(label_set for label_set, _ in sorted(found.rows)):
        table.add_row(label_set, *(_count(found.rows[label_set, split]) for split in _SPLITS))
    if table.row_count > 1:
        table.add_row("all", *(_count(found.split_rows[split]) for split in _SPLITS))
    return table


def _given_table(found: Survey, tasks: Sequence[Task]) -> Table:
    """Rows with a label of each task, alone and together, and their share of the split's."""
    table = _table("rows with labels of")

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
    table = _table("labels given")
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


def _table(first: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, min_width=20)
    for split in _SPLITS:
        table.add_column(split, justify="right", min_width=16)
    return table


def _count(rows: int) -> str:
    return f"{rows:,}" if rows else ""


def _share(count: int, of: int, *, zero: bool = False) -> str:
    return f"{count:,} ({count / of:.1%})" if count or (zero and of) else ""

"""The table that opens a page of predictions: a row a person, which leads to the clip."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType

import numpy as np

from triaffect.features.model_folder import OutputValidity, validities_without_face
from triaffect.report.clip_series import Clip, percent
from triaffect.report.thumbnails import Thumbnails
from triaffect.tables.summary import SummaryRow
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE

Validities = Mapping[str, OutputValidity]
"""How far each output holds on people, by column; nothing is said of one that is not there."""

NO_VALIDITIES: Validities = MappingProxyType({})

RANKS = {"shown": 0, "partly": 1, "not shown": 2}
"""In what order outputs of a task are drawn, by how far they hold."""

_BLANK = "\N{EN DASH}"
_NAMING = (
    '<button type="button" id="name-people" class="button">Name the people</button>'
    '<span id="naming" class="note" hidden>Faces of a clip with the same name become one person. '
    "Save the names, and give the file to <code>triaffect predict</code> or "
    "<code>summarize</code> as <code>--people people.csv</code>.</span>"
)
_FEW_ROWS = 14
"""More rows scroll in a box of their own, so that the clip below is near."""


@dataclass(frozen=True)
class ResultCell:
    """What one column says of a person.

    Attributes:
        heading: The column's name.
        text: What stands there.
        outputs: Names of the outputs that it rests on; empty where it is blank.
        is_number: Whether it is aligned as a number.
    """

    heading: str
    text: str
    outputs: tuple[str, ...]
    is_number: bool = True


@dataclass(frozen=True)
class ResultRow:
    """A person of a clip, or the voice alone.

    Attributes:
        address: Where the row leads to on the page.
        name: Who it is; of somebody without a name, the clip.
        more: The clip, or the number of the face.
        time: How long it is seen, in words.
        picture: A picture of the face as data URL; empty for none.
        cells: The results.
        clip: The clip as tables call it; empty where a reader cannot name the person: somebody who
            has a name, or a voice beside faces.
        face: Number of the face; None for the voice alone.
    """

    address: str
    name: str
    more: str
    time: str
    picture: str
    cells: tuple[ResultCell, ...]
    clip: str = ""
    face: int | None = None


def result_rows(clip: Clip, number: int, pictures: Thumbnails) -> list[ResultRow]:
    """Sum up everybody in a clip who has a tab.

    Args:
        clip: The clip, after its last row.
        number: Its number on the page, from 0.
        pictures: Small pictures of its faces.

    Returns:
        A row each, in order of the tabs.
    """
    rows, everybody = [], list(clip.shown())
    for position, face in enumerate(everybody):
        row = clip.summary.row(face)
        own = pictures.faces.get(face, [])
        is_unnamed = face not in clip.participants and (face != NO_FACE or len(everybody) == 1)
        cells = sorted(_cells(row, clip.tasks), key=lambda cell: not cell.is_number)
        rows.append(
            ResultRow(
                f"clip-{number}-{position}",
                *_names(clip, face),
                "" if clip.frames == 1 else f"{float(row['seconds'] or 0):.1f}\N{NO-BREAK SPACE}s",
                own[len(own) // 2]["src"] if own else "",
                tuple(cells),
                clip.name if is_unnamed else "",
                None if face == NO_FACE else face,
            )
        )
    return rows


def _names(clip: Clip, face: int) -> tuple[str, str]:
    """The participant and the clip; without a participant the file's name and the face."""
    if face in clip.participants:
        return clip.label(face), clip.name
    return PurePath(clip.name).name or clip.name, clip.label(face)


def _cells(row: SummaryRow, tasks: Sequence[Task]) -> Iterator[ResultCell]:
    """What a row says of each task: means, the first plain word's share, the commonest class."""
    for task in tasks:
        if not (task.exclusive or task.threshold_columns):
            for column in task.columns:
                mean = _number(row[f"{column}_mean"])
                text = f"{round(mean, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")
                is_blank = np.isnan(mean)
                yield ResultCell(
                    column, _BLANK if is_blank else text, () if is_blank else (column,)
                )
            continue
        if words := list(task.plain_words.items()):
            word, units = words[0]
            share = _number(row[f"{word}_share"])
            text, held = (_BLANK, ()) if np.isnan(share) else (percent(share), units)
            yield ResultCell(word.replace("_", " "), text, tuple(held))
            continue
        shares = np.array([_number(row[f"{part}_share"]) for part in task.part_names])
        heading = f"commonest {task.label}" if task.exclusive else task.label
        if np.isnan(shares).all():
            yield ResultCell(heading, _BLANK, (), is_number=False)
            continue
        most = int(np.nanargmax(shares))
        text = f"{task.title(task.columns[most])} {percent(shares[most])}"
        yield ResultCell(heading, text, (task.columns[most],), is_number=False)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


def results_table(rows: Sequence[ResultRow], outputs: Validities = NO_VALIDITIES) -> str:
    """Write the table, with a field to filter it.

    Args:
        rows: Everybody of all clips; they may have different columns.
        outputs: How far each output holds on people, by column.

    Returns:
        An HTML element; texts are escaped in it.
    """
    headings = dict.fromkeys(cell.heading for row in rows for cell in row.cells)
    is_number = {cell.heading: cell.is_number for row in rows for cell in row.cells}
    order = sorted(headings, key=lambda heading: not is_number[heading])
    head = ['<th scope="col">person</th>']
    for heading in order:
        kind = "" if is_number[heading] else ' class="text"'
        head.append(f'<th scope="col"{kind}>{html.escape(heading)}</th>')
    if outputs:
        head.append('<th scope="col" class="text">holds on people</th>')
    of_voices = validities_without_face(outputs)
    body = "".join(_row(row, order, of_voices if row.face is None else outputs) for row in rows)
    long = " long" if len(rows) > _FEW_ROWS else ""
    return (
        '<div class="card results"><div class="finder"><label>Filter '
        '<input type="search" id="filter" placeholder="a name, a clip, an expression"></label>'
        f'<span id="count" class="note" role="status">{_count(len(rows))}</span>'
        f"{_NAMING if any(row.clip for row in rows) else ''}</div>"
        f'<div class="rows{long}"><table class="people" id="results"><thead><tr>{"".join(head)}'
        f"</tr></thead><tbody>{body}</tbody></table></div></div>"
    )


def _count(rows: int) -> str:
    return "1 person" if rows == 1 else f"{rows} people"


def _row(row: ResultRow, order: Sequence[str], outputs: Validities) -> str:
    """One row; its link is the name, and clicking elsewhere in it follows that."""
    cells = {cell.heading: cell for cell in row.cells}
    picture = f'<img src="{row.picture}" alt="">' if row.picture else "<i></i>"
    below = html.escape(row.more) + (f", {row.time}" if row.time else "")
    parts = [
        f'<td class="who"><a href="#{row.address}">{picture}<span><b>{html.escape(row.name)}</b>'
        f"<small>{below}</small></span></a></td>"
    ]
    for heading in order:
        cell = cells.get(heading, ResultCell(heading, _BLANK, ()))
        words = [str(outputs[name].holds) for name in cell.outputs if name in outputs]
        kinds = ["text"] if not cell.is_number else []
        kinds += ["faint"] if "not shown" in words else []
        kind = f' class="{" ".join(kinds)}"' if kinds else ""
        label = html.escape(heading, quote=True)
        parts.append(f'<td data-label="{label}"{kind}>{html.escape(cell.text)}</td>')
    if outputs:
        word, why = _trust(row, outputs)
        kind = word.replace(" ", "-") or "none"
        parts.append(
            f'<td class="text" data-label="holds on people"><span class="trust {kind}" '
            f'title="{html.escape(why, quote=True)}">{word or _BLANK}</span></td>'
        )
    if not row.clip:
        return f"<tr>{''.join(parts)}</tr>"
    face = "" if row.face is None else row.face
    clip = html.escape(row.clip, quote=True)
    return f'<tr data-clip="{clip}" data-face="{face}">{"".join(parts)}</tr>'


def _trust(row: ResultRow, outputs: Validities) -> tuple[str, str]:
    """The least that is said of the outputs in a row, and what is said of each."""
    named = [
        (cell.heading, max((str(outputs[name].holds) for name in there), key=RANKS.__getitem__))
        for cell in row.cells
        if (there := [name for name in cell.outputs if name in outputs])
    ]
    if not named:
        return "", "nothing was predicted"
    least = max((word for _, word in named), key=RANKS.__getitem__)
    return least, "; ".join(f"{heading}: {word}" for heading, word in named)

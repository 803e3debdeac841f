"""One clip on a page: what is said of it in words, and what its script draws."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.report.clip import MOST_FACES, NOBODY, Clip
from triaffect.report.page import to_json
from triaffect.report.thumbnails import Thumbnails
from triaffect.report.totals import percent
from triaffect.tasks.task import Task

OVERVIEW = ("clip", "frames", "until (s)", "faces", "frames with a face", "frames with a voice")

_HOW_SUMMED = (
    "Values: mean ± standard deviation. Classes: share of the frames in which each is the "
    "likeliest. Units: share of the frames in which each is present, from the model's own "
    "threshold on."
)

_FEW = 5
"""Values of a task that are drawn as lines; more are drawn as rows of a heat map."""


def panels(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """How each task is drawn, for the script."""
    return [
        {
            "kind": "classes" if task.exclusive else "lines" if task.width <= _FEW else "heat",
            "title": task.words,
            "names": [_short(task, column) for column in task.columns],
            "titles": [task.title(column) for column in task.columns],
            "poles": [list(task.poles.get(column, ())) for column in task.columns],
            "range": list(task.display_range),
            "plane": task.circumplex,
        }
        for task in tasks
    ]


def _short(task: Task, column: str) -> str:
    """What fits beside a panel on a narrow screen: a title of one word, or the column's name."""
    title = task.title(column)
    return column if " " in title else title


def overview_row(clip: Clip) -> list[str]:
    """Cells of the clip in the table of all clips, as `OVERVIEW` heads them."""
    frames = max(clip.frames, 1)
    shares = [percent(count / frames) for count in (clip.with_face, clip.with_voice)]
    return [clip.name, f"{clip.frames}", f"{clip.end_s:.2f}", f"{clip.faces}", *shares]


def section(clip: Clip, number: int) -> str:
    """The clip's part of the page, into which its script draws."""
    rows = [_summary(clip, face) for face in clip.shown()]
    head = ("", "frames", "of all", *(task.words for task in clip.tasks))
    parts = [
        f'<section class="clip" id="clip-{number}" aria-label="{html.escape(clip.name)}">',
        f"<h2>{html.escape(clip.name)}</h2>",
        f"<p>{html.escape(_about(clip))}</p>",
        f'<div class="card">{_table(head, rows)}<p class="note">{_HOW_SUMMED}</p></div>',
        '<div class="view"></div></section>',
    ]
    return "".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{html.escape(label)}">{html.escape(cell)}</td>'
            for label, cell in zip(head, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<table class="summary"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _summary(clip: Clip, face: int) -> list[str]:
    person = clip.people[face]
    share = person.count / max(clip.frames, 1)
    return [_label(face), f"{person.count}", percent(share), *person.totals.cells()]


def _label(face: int) -> str:
    return "No face" if face == NOBODY else f"Face {face}"


def _about(clip: Clip) -> str:
    _, frames, end, _, face, voice = overview_row(clip)
    faces = {0: "no face was seen", 1: "1 face"}.get(clip.faces, f"{clip.faces} faces")
    if clip.frames == 1:
        return f"A single frame; {faces}."
    seen = f", one at least in {face} of the frames" if clip.faces else ""
    heard = f"a voice in {voice} of the frames" if clip.with_voice else "no voice was heard"
    told = [f"{frames} frames until {end} s; {faces}{seen}; {heard}. {_point(clip)}"]
    if clip.faces > MOST_FACES:
        told.append(f"{clip.faces - MOST_FACES} faces seen more briefly are not drawn.")
    nobody = clip.people.get(NOBODY)
    if nobody and nobody.totals.told:
        told.append("Frames without a face are judged by the voice alone, whoever speaks.")
    return " ".join(told)


def _point(clip: Clip) -> str:
    """What a point of a panel is."""
    frames = clip.frames_of(clip.places())
    if frames.max() <= 1:
        return "A point is one frame."
    return f"A point is the mean over {clip.step_s:g} s (up to {frames.max():.0f} frames)."


def data(clip: Clip, pictures: Thumbnails) -> str:
    """What is drawn of the clip, as JSON for the script.

    Values and shares are in thousandths, null where there is none; times are in seconds.
    """
    places = clip.places()
    return to_json(
        {
            "times": np.round(clip.times_s(places), 3).tolist(),
            "voice": _thousandths(clip.voice(places)),
            "panels": panels(clip.tasks),
            "thumbs": pictures.clip,
            "people": [_person(clip, face, places, pictures) for face in clip.shown()],
        }
    )


def _person(
    clip: Clip, face: int, places: NDArray[np.int64], pictures: Thumbnails
) -> dict[str, Any]:
    series = clip.people[face].series
    values = [_thousandths(column) for column in series.on(places, series.means()).T]
    width = sum(task.width for task in clip.tasks)
    return {
        "label": _label(face),
        "face": face != NOBODY,
        "share": round(clip.people[face].count / max(clip.frames, 1), 3),
        "seen": _thousandths(clip.seen(face, places)),
        "values": values[:width],
        "smooth": values[width:],
        "thumbs": pictures.faces.get(face, []),
    }


def _thousandths(values: NDArray[np.float64]) -> list[int | None]:
    return [None if np.isnan(value) else round(1000 * float(value)) for value in values]

"""A page about predictions: each clip, and each face over time."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.errors import TableError
from triaffect.features.model_folder import (
    Manifest,
    OutputValidity,
    validities_without_face,
)
from triaffect.io.atomic import check_output
from triaffect.io.records import parse_record
from triaffect.report.clip_series import MOST_BINS, MOST_FACES, Clip, percent, statistics_cells
from triaffect.report.page import Page, to_json
from triaffect.report.results_table import (
    NO_VALIDITIES,
    RANKS,
    ResultRow,
    Validities,
    result_rows,
    results_table,
)
from triaffect.report.thumbnails import OF_CLIP, OF_FACE, Thumbnails, thumbnails
from triaffect.tables.metadata import ModelMetadata
from triaffect.tables.schema import tasks_in
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE
from triaffect.version import __version__

if TYPE_CHECKING:
    import pandas as pd

OVERVIEW = ("clip", "frames", "until (s)", "faces", "time with a face", "time with a voice")

_HOW_SUMMED = (
    "Values: mean ± standard deviation. Classes: share of the time in which each is the "
    "likeliest. Units: share of the time in which each is present: from the model's own threshold "
    "on, a little above it to come on and a little below to go off, for 0.2 s at least."
)

_SUMMED = "Everybody in the clip, summed up"

_FEW = 5
"""Values of a task that are drawn as lines; more are drawn as rows of a heat map."""


def drawn_columns(task: Task, outputs: Validities = NO_VALIDITIES) -> list[int]:
    """List the columns of a task that are drawn, those first that hold on people.

    >>> outputs = {"AU1": OutputValidity(), "AU2": OutputValidity(blank="always")}
    >>> drawn_columns(TASKS[2], outputs)
    [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0]

    Args:
        task: The task.
        outputs: How far each of its columns holds.

    Returns:
        Their numbers. What is always blank is left out; few columns, drawn as lines, stay in order.
    """
    own = [outputs.get(name, OutputValidity(holds="shown")) for name in task.columns]
    drawn = [k for k, each in enumerate(own) if each.blank != "always"]
    if len(drawn) <= _FEW:
        return drawn
    return sorted(drawn, key=lambda k: RANKS[own[k].holds])


def panels(tasks: Sequence[Task], outputs: Validities = NO_VALIDITIES) -> list[dict[str, Any]]:
    """Describe how each task is drawn, for the script.

    >>> [panel["kind"] for panel in panels(TASKS)]
    ['lines', 'classes', 'heat']

    Args:
        tasks: What is drawn.
        outputs: How far each of their columns holds on people.

    Returns:
        For each task that has anything to draw its kind of panel, title, and of its columns in the
        order of `drawn_columns` the numbers, the short and long names, the words at the ends of
        their axes and how far they hold; their range, and whether they span a plane; as JSON
        takes them.
    """
    result = []
    for task in tasks:
        order = drawn_columns(task, outputs)
        if not order:
            continue
        columns = [task.columns[k] for k in order]
        titles = [task.title(column) for column in columns]
        # Beside a panel on a narrow screen fits a title of one word, or else the column's name.
        short = [
            column if " " in title else title for column, title in zip(columns, titles, strict=True)
        ]
        result.append(
            {
                "kind": "classes" if task.exclusive else "lines" if task.width <= _FEW else "heat",
                "title": task.label,
                "names": short,
                "titles": titles,
                "poles": [list(task.axis_ends.get(column, ())) for column in columns],
                "slots": order,
                "holds": [outputs[name].holds if name in outputs else "" for name in columns],
                "range": list(task.display_range),
                "plane": task.circumplex and len(order) == task.width,
            }
        )
    return result


def overview_row(clip: Clip) -> list[str]:
    """Write a clip's row in the table of all clips.

    Args:
        clip: The clip, after its last row.

    Returns:
        Texts under `OVERVIEW`.
    """
    clip.summary.finish()
    shares = [percent(share) for share in (clip.summary.face_share, clip.summary.voice_share)]
    return [clip.name, f"{clip.frames}", f"{clip.end_s:.2f}", f"{clip.faces}", *shares]


def section(clip: Clip, number: int, outputs: Validities = NO_VALIDITIES) -> str:
    """Write a clip's part of the page, into which its script draws.

    Args:
        clip: The clip, after its last row.
        number: Its number on the page, from 0.
        outputs: How far each output holds; those not shown to hold are left out of its table.

    Returns:
        An HTML element; texts of the clip are escaped in it.
    """
    rows = []
    of_voices = validities_without_face(outputs)
    for face in clip.shown():
        row, count = clip.summary.row(face), clip.people[face].count
        share = percent(float(row["clip_share"] or 0))
        own = of_voices if face == NO_FACE else outputs
        not_shown = {name for name, each in own.items() if each.holds == "not shown"}
        cells = statistics_cells(row, clip.tasks, not_shown, is_still=clip.frames == 1)
        rows.append([clip.label(face), f"{count}", share, *cells])
    head = ("", "frames", "of the time", *(task.label for task in clip.tasks))
    hidden = " hidden" if number else ""
    parts = [
        f'<section class="clip" id="clip-{number}" aria-label="{html.escape(clip.name)}"{hidden}>',
        f"<h2>{html.escape(clip.name)}</h2>",
        f"<p>{html.escape(_describe_clip(clip))}</p>",
        f'<details class="card"><summary>{_SUMMED}</summary>{_table(head, rows)}'
        f'<p class="note">{_HOW_SUMMED}</p></details><div class="view"></div></section>',
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


def validity_table(tasks: Sequence[Task], outputs: Validities) -> str:
    """Write a table of how far each output holds on people and what it was learned from.

    Args:
        tasks: What is predicted.
        outputs: How far each of their columns holds; columns that are not there are left out.

    Returns:
        An HTML element that opens to the table, the outputs that hold first.
    """
    rows = []
    for task in tasks:
        named = [name for name in task.columns if name in outputs]
        for name in sorted(named, key=lambda name: RANKS[outputs[name].holds]):
            own = outputs[name]
            rows.append([task.title(name), own.word(), own.evidence, own.learned_from])
    head = ("output", "holds on people", "measured", "learned from")
    summary = "How far each output holds on people, and what it was learned from"
    return f'<details class="card"><summary>{summary}</summary>{_table(head, rows)}</details>'


def _describe_clip(clip: Clip) -> str:
    _, frames, end, _, face, voice = overview_row(clip)
    faces = {0: "no face was seen", 1: "1 face"}.get(clip.faces, f"{clip.faces} faces")
    if clip.frames == 1:
        return f"A single frame; {faces}."
    seen = f", one at least in {face} of the time" if clip.faces else ""
    voice_text = (
        f"a voice in {voice} of the time" if clip.summary.voice_share else "no voice was heard"
    )
    sentences = [f"{frames} frames until {end} s; {faces}{seen}; {voice_text}."]
    most = clip.frames_of(clip.segments()).max()
    if most <= 1:
        sentences.append("A point is one frame.")
    else:
        mean = f"the mean over {clip.step_s:g} s (up to {most:.0f} frames)"
        sentences.append(f"A point is {mean}.")
    if clip.faces > MOST_FACES:
        sentences.append(f"{clip.faces - MOST_FACES} faces seen more briefly are not drawn.")
    nobody = clip.people.get(NO_FACE)
    if nobody and nobody.is_predicted:
        sentences.append("Frames without a face are judged by the voice alone, whoever speaks.")
    return " ".join(sentences)


def data(
    clip: Clip, pictures: Thumbnails, outputs: Validities = NO_VALIDITIES, link: str = ""
) -> str:
    """Write what is drawn of a clip, as JSON for the script.

    Args:
        clip: The clip, after its last row.
        pictures: Small pictures of it and its faces.
        outputs: How far each output holds on people.
        link: Relative address of its video or sound, to be played; empty for none.

    Returns:
        JSON that can stand in an HTML element. Values and shares are in thousandths, null where
        there is none; times are in seconds.
    """
    segments = clip.segments()
    if not clip.faces:  # what a face alone would show has no panel
        facial = [name for task in clip.tasks if task.facial for name in task.columns]
        none = dict.fromkeys(facial, OutputValidity(blank="always"))
        outputs = validities_without_face(outputs) | none
    times_s, voice, _ = clip.means_of_frames(segments).T
    return to_json(
        {
            "times": np.round(times_s, 3).tolist(),
            "voice": _thousandths(voice),
            "panels": panels(clip.tasks, outputs),
            "thumbs": pictures.clip,
            "media": link,
            "people": [_person(clip, face, segments, pictures, outputs) for face in clip.shown()],
        }
    )


def _person(
    clip: Clip, face: int, segments: NDArray[np.int64], pictures: Thumbnails, outputs: Validities
) -> dict[str, Any]:
    series = clip.people[face].series
    values = [_thousandths(column) for column in series.on(segments, series.means()).T]
    width, order = 0, list[int]()
    for task in clip.tasks:
        order += [width + k for k in drawn_columns(task, outputs)]
        width += task.width
    return {
        "label": clip.label(face),
        "face": face != NO_FACE,
        "share": round(float(clip.summary.row(face)["clip_share"] or 0), 3),
        "seen": _thousandths(clip.seen(face, segments)),
        "values": [values[k] for k in order],
        "smooth": [values[width + k] for k in order] if clip.smoothed else [],
        "thumbs": pictures.faces.get(face, []),
    }


def _thousandths(values: NDArray[np.float64]) -> list[int | None]:
    return [None if np.isnan(value) else round(1000 * float(value)) for value in values]


MOST_CLIPS = 500
"""Clips that are drawn; the list of all clips holds more."""

_DETAILED = 48
"""Clips that are drawn with all pictures and points; of those after them there are fewer."""
_FEWER_POINTS, _FEWER_OF_CLIP, _FEWER_OF_FACE = 300, 8, 4

MEANING = (
    "The numbers are estimates of what raters would write down about what a face and a voice "
    "show, not of what a person feels. They are often wrong for a single moment; do not judge "
    "a person by them."
)
_FACES = (
    "This page holds small pictures of the people in the videos: whoever has it sees their faces. "
    "(triaffect predict --no-thumbnails makes one without.)"
)
_HOW_TO_READ = (
    "A row leads to the person's panels. Keys: up and down go through the rows, / to the filter, "
    "n and p to the next and the previous person, Esc back to the rows; within the panels left "
    "and right move the cursor, and the space bar plays the video where it lies beside the page. "
    "Hatched is where there is no value. Colors are those of Okabe and Ito, which the "
    "color-blind can tell apart; names, dashes and lightness say the same without them."
)
_TRUSTED = (
    "Whether an output holds on people: shown, partly, or not shown by measurements on people "
    "whom the model has not seen. A row has the least of its outputs' words; gray is what is not "
    "shown to hold."
)
_SCRIPTS = ("svg.js", "panels.js", "side.js", "view.js", "table.js")


class Clips:
    """Clips gathered from rows as they come, to be shown on a page.

    Only means over stretches of time, and pictures, are kept of them.

    Args:
        tasks: What to draw.
        pictures: Whether to take small pictures of the clips.
        outputs: How far each output holds on people, by column.
        folder: Where the page will lie, so that it can play the clips' files; None for no links.
    """

    def __init__(
        self,
        tasks: Sequence[Task] = TASKS,
        pictures: bool = True,
        outputs: Validities = NO_VALIDITIES,
        folder: Path | None = None,
    ) -> None:
        self._tasks, self._pictures, self._outputs = tuple(tasks), pictures, outputs
        self._folder = folder
        self._overview: list[list[str]] = []
        self._results: list[ResultRow] = []
        self._drawn: list[tuple[str, str]] = []
        self._clip: Clip | None = None
        self._source: Path | None = None
        self._shows_people = False

    def add(self, table: pa.Table, source: Path | None = None) -> None:
        """Add the next rows; those of a clip must follow each other, in order of time.

        Args:
            table: Rows of one clip.
            source: Its file, to take pictures from; None takes none.
        """
        if not len(table):
            return
        name = table.column("clip")[0].as_py()
        if self._clip is None or (self._clip.name, self._source) != (name, source):
            self._close()
            there = set(table.column_names)
            tasks = [task for task in self._tasks if there.issuperset(task.columns)]
            most = MOST_BINS if len(self._drawn) < _DETAILED else _FEWER_POINTS
            self._clip = Clip(name, tasks, table.column_names, most)
            self._source = source
        self._clip.add(table)

    def _close(self) -> None:
        """Keep what is shown of the clip that has ended."""
        if self._clip is None:
            return
        number = len(self._drawn)
        self._overview.append(overview_row(self._clip))
        if number < MOST_CLIPS:
            taken, link = Thumbnails(), ""
            if self._pictures and self._source is not None:
                few = (_FEWER_OF_CLIP, _FEWER_OF_FACE)
                taken = thumbnails(
                    self._clip, self._source, *((OF_CLIP, OF_FACE) if number < _DETAILED else few)
                )
                link = "" if self._clip.frames == 1 else self._link(self._source)
            self._shows_people |= bool(taken.clip)
            self._results += result_rows(self._clip, number, taken)
            own = section(self._clip, number, self._outputs)
            self._drawn.append((own, data(self._clip, taken, self._outputs, link)))
        self._clip = None

    def _link(self, source: Path) -> str:
        """The relative address of a file from the page; empty if there is none."""
        if self._folder is None or not source.is_file():
            return ""
        try:
            relative = os.path.relpath(source, self._folder)
        except ValueError:  # on another drive
            return ""
        return quote(Path(relative).as_posix())

    def put_on(self, page: Page) -> None:
        """Put the clips added so far on a page: a row a person, and one clip to look at.

        Args:
            page: Gets them at its end.
        """
        self._close()
        page.style(_text("clips.css"))
        page.element(results_table(self._results, self._outputs))
        page.element('<nav class="stepper" id="stepper" aria-label="people" hidden></nav>')
        for number, (body, content) in enumerate(self._drawn):
            page.element(body)
            page.data(f"data-{number}", content)
        left_out = len(self._overview) - len(self._drawn)
        if left_out:
            page.paragraph(f"The list of all clips holds {left_out} more, which are not drawn.")
        page.element('<h2 class="apart">How to read this page</h2>')
        page.paragraph(_HOW_TO_READ)
        if self._outputs:
            page.paragraph(_TRUSTED)
            page.element(validity_table(self._tasks, self._outputs))
        clips = _table(OVERVIEW, self._overview)
        page.element(f'<details class="card"><summary>All clips</summary>{clips}</details>')
        if self._shows_people:
            page.paragraph(_FACES)
        page.script("\n".join(_text(name) for name in _SCRIPTS))


class PredictionPage(Clips):
    """The page of ``triaffect predict --report``: clips, and what model predicted them.

    Args:
        tasks: What to draw.
        model: What the model folder says of itself; None tells nothing of the model.
        pictures: Whether to take small pictures of the clips.
        folder: Where the page will lie, so that it can play the clips' files; None for no links.
    """

    def __init__(
        self,
        tasks: Sequence[Task] = TASKS,
        model: Manifest | None = None,
        pictures: bool = True,
        folder: Path | None = None,
    ) -> None:
        thresholds = model.thresholds if model else {}
        outputs = model.outputs if model else NO_VALIDITIES
        learned = [task for task in tasks if drawn_columns(task, outputs)] or tasks
        tasks = [task.with_thresholds(thresholds) for task in learned]
        super().__init__(tasks, pictures, outputs, folder)
        self._model = model

    def page(self) -> Page:
        """Return the page about the clips added so far."""
        page = Page("Predictions", MEANING)
        self.put_on(page)
        if model := self._model:
            origins = [
                f"{task.label} from {model.label_origins[task.key].replace('+', ' and ')} labels"
                for task in self._tasks
                if model.label_origins.get(task.key)
            ]
            origins_text = f" Trained on {', '.join(origins)}." if origins else ""
            page.paragraph(
                f"Model {model.name}, version {model.version}; licence: {model.licence}. "
                f"Written by triaffect {__version__}.{origins_text}"
            )
        return page

    def write(self, path: Path) -> None:
        """Write the page about the clips added so far.

        Args:
            path: The page; an existing file is replaced.

        Raises:
            DiskError: It cannot be written.
        """
        self.page().write(path)


def write_table_page(table: pd.DataFrame, output: str | Path, thumbnails: bool = True) -> None:
    """Write the page about a prediction table in memory.

    Args:
        table: The table; its ``attrs`` say what model it is of and from which probability on a
            unit is present.
        output: The page.
        thumbnails: Whether to take pictures of the clips that are files still there.

    Raises:
        TableError: It is no prediction table, or the page cannot be written there.
    """
    output = check_output(Path(output))
    missing = [name for name in ("clip", "frame", "time_s", "face_id") if name not in table]
    tasks = tasks_in(list(table.columns), TASKS)
    if missing or not tasks:
        got = f"none named {', '.join(missing)}" if missing else "one without predictions"
        raise TableError("a prediction table", got, where="table")
    thresholds = table.attrs.get("thresholds", {})
    model = None
    if "model" in table.attrs:
        content, remedy = table.attrs["model"], "keep attrs as predict gave them"
        described = parse_record(ModelMetadata, content, TableError, remedy, "table.attrs")
        model = SimpleNamespace(**vars(described), thresholds=thresholds)
    page = PredictionPage(tasks, cast("Manifest | None", model), thumbnails, output.parent)
    for clip, rows in table.groupby("clip", sort=False):
        source = Path(str(clip)) if Path(str(clip)).is_file() else None
        page.add(pa.Table.from_pandas(rows, preserve_index=False), source)
    page.write(output)


@cache
def _text(name: str) -> str:
    return (files("triaffect.report") / "web" / name).read_text("utf-8")

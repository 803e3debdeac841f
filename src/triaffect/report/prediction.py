"""A page about predictions: what was found in each clip, and each face over time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import pyarrow as pa

from triaffect import __version__
from triaffect.features.manifest import Manifest
from triaffect.report.clip import Clip
from triaffect.report.clip_page import OVERVIEW, data, overview_row, section
from triaffect.report.page import Page
from triaffect.report.thumbnails import Thumbnails, thumbnails
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task

MOST_CLIPS = 48
"""Clips that are drawn; the table holds them all."""

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
    "Point at a panel, or choose one and use the arrow keys, to see a moment in all of them. "
    "Hatched is where there is no value. Colours are those of Okabe and Ito, which the "
    "colour-blind can tell apart; names, dashes and lightness say the same without them."
)
_SCRIPTS = ("svg.js", "panels.js", "side.js", "view.js")


class Clips:
    """Clips gathered from rows as they come, to be shown on a page.

    Only means over stretches of time, and pictures, are kept of them.

    Args:
        tasks: What to draw.
        pictures: Whether to take small pictures of the clips.
    """

    def __init__(self, tasks: Sequence[Task] = TASKS, pictures: bool = True) -> None:
        self._tasks, self._pictures = tuple(tasks), pictures
        self._overview: list[list[str]] = []
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
            self._clip = Clip(name, self._known(table), table.column_names)
            self._source = source
        self._clip.add(table)

    def _known(self, table: pa.Table) -> list[Task]:
        there = set(table.column_names)
        return [task for task in self._tasks if there.issuperset(task.columns)]

    def _close(self) -> None:
        """Keep what is shown of the clip that has ended."""
        if self._clip is None:
            return
        self._overview.append(overview_row(self._clip))
        if len(self._drawn) < MOST_CLIPS:
            taken = Thumbnails()
            if self._pictures and self._source is not None:
                taken = thumbnails(self._clip, self._source)
            self._shows_people |= bool(taken.clip)
            self._drawn.append((section(self._clip, len(self._drawn)), data(self._clip, taken)))
        self._clip = None

    def put_on(self, page: Page) -> None:
        """Put the clips added so far on a page: a table of all, and one at a time to look at."""
        self._close()
        if self._shows_people:
            page.paragraph(_FACES)
        page.paragraph(_HOW_TO_READ)
        page.table(OVERVIEW, self._overview)
        page.style(_text("clips.css"))
        for number, (body, content) in enumerate(self._drawn):
            page.element(body)
            page.data(f"data-{number}", content)
        page.script("\n".join(_text(name) for name in _SCRIPTS))
        left_out = len(self._overview) - len(self._drawn)
        if left_out:
            page.paragraph(f"The table holds {left_out} more clips, which are not drawn.")


class PredictionPage:
    """The page of ``triaffect predict --report``.

    Args:
        tasks: What to draw.
        model: What the model folder says of itself; None tells nothing of the model.
        pictures: Whether to take small pictures of the clips.
    """

    def __init__(
        self,
        tasks: Sequence[Task] = TASKS,
        model: Manifest | None = None,
        pictures: bool = True,
    ) -> None:
        self._model, self._tasks = model, tasks
        thresholds = model.thresholds if model else {}
        self._clips = Clips([task.with_thresholds(thresholds) for task in tasks], pictures)

    def add(self, table: pa.Table, source: Path | None = None) -> None:
        """Add the next rows of a clip; see `Clips.add`."""
        self._clips.add(table, source)

    def page(self) -> Page:
        """The page about the clips added so far."""
        page = Page("Predictions", MEANING)
        if self._model:
            page.paragraph(_about(self._model, self._tasks))
        self._clips.put_on(page)
        return page

    def write(self, path: Path) -> None:
        """Write the page; an existing file is replaced."""
        self.page().write(path)


def _about(model: Manifest, tasks: Sequence[Task]) -> str:
    origins = {
        task.words: model.label_origins[task.key].replace("+", " and ")
        for task in tasks
        if task.key in model.label_origins
    }
    named = ", ".join(f"{name} from {origin} labels" for name, origin in origins.items())
    learnt = f" It learnt {named}." if named else ""
    return (
        f"Model {model.name}, version {model.version}; licence: {model.licence}. "
        f"Written by triaffect {__version__}.{learnt}"
    )


@cache
def _text(name: str) -> str:
    return (files("triaffect.report") / "web" / name).read_text("utf-8")

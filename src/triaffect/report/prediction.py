"""A page about predictions: what was found in each clip, and a timeline of each face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from triaffect.report.page import Figure, Page
from triaffect.report.timeline import timeline
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task

MOST_CLIPS, MOST_FACES = 24, 6
"""Clips, and faces of a clip, that get timelines; a page with more is no help."""

_HEADER = ("clip", "frames", "seconds", "faces", "frames with a face", "rows with a voice")


class PredictionPage:
    """Gathers clips one at a time and keeps only what is drawn of them.

    Args:
        tasks: What to draw.
    """

    def __init__(self, tasks: Sequence[Task] = TASKS) -> None:
        self._tasks = tasks
        self._overview: list[list[str]] = []
        self._figures: list[list[tuple[str, Figure]]] = []

    def add(self, table: pa.Table) -> None:
        """Add one clip's prediction table."""
        rows: pd.DataFrame = table.to_pandas()
        self._overview.append(_overview(rows))
        if len(self._figures) < MOST_CLIPS:
            self._figures.append(clip_figures(rows, self._tasks))

    def write(self, path: Path) -> None:
        """Write the page; an existing file is replaced."""
        self.page().write(path)

    def page(self) -> Page:
        """The page about the clips added so far."""
        page = Page("Predictions", "Valence-arousal, expression and action units over time.")
        page.table(_HEADER, self._overview)
        for overview, figures in zip(self._overview, self._figures, strict=False):
            page.heading(overview[0])
            for text, figure in figures:
                page.paragraph(text)
                page.figure(figure)
        left_out = len(self._overview) - len(self._figures)
        if left_out:
            page.paragraph(f"The table holds {left_out} more clips, which are not drawn.")
        return page


def clip_figures(rows: pd.DataFrame, tasks: Sequence[Task]) -> list[tuple[str, Figure]]:
    """A caption and a timeline for each of the faces seen longest, or for the voice alone.

    Args:
        rows: The prediction table of one clip.
        tasks: What to draw.
    """
    lengths = rows["face_id"].value_counts().sort_index()
    longest = lengths.sort_values(ascending=False, kind="stable").index[:MOST_FACES]
    if not len(longest):
        heard = "this is from the voice alone" if rows["voice_heard"].any() else "no voice heard"
        return [(f"No face was seen; {heard}.", timeline(rows, tasks))]
    figures = []
    for face in sorted(longest):
        own = rows[rows["face_id"] == face]
        start, end = own["time_s"].iloc[0], own["time_s"].iloc[-1]
        caption = f"Face {int(face)}, in {len(own)} of the frames from {start:.2f} to {end:.2f} s."
        if face == sorted(longest)[-1] and len(lengths) > len(longest):
            caption += f" {len(lengths) - len(longest)} faces seen more briefly are not drawn."
        figures.append((caption, timeline(own, tasks)))
    return figures


def _overview(rows: pd.DataFrame) -> list[str]:
    frames = rows.groupby("frame")["face_seen"].max()
    return [
        str(rows["clip"].iloc[0]),
        f"{len(frames)}",
        f"{rows['time_s'].iloc[-1]:.2f}",
        f"{rows['face_id'].nunique()}",
        f"{frames.mean():.0%}",
        f"{rows['voice_heard'].mean():.0%}",
    ]

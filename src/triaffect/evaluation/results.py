"""Typed results of an evaluation: what the tables, the demo and ``--json`` read."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from triaffect.metrics.abaw import Score
from triaffect.metrics.bootstrap import LEVEL, Intervals

UNIT = "video; in sets of stills the person"


class JsonResult(BaseModel):
    """A result that is written as JSON; a field without a value is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def to_json(self) -> dict[str, Any]:
        """Return plain values under the names of the JSON file.

        >>> Resampling(resamples=1000).to_json()["unit"]
        'video; in sets of stills the person'
        """
        return self.model_dump(mode="json", by_alias=True)


def optional_field() -> Any:  # noqa: ANN401 - a field of any type
    """Make a field that is None by default and is then not written."""
    return Field(default=None, exclude_if=lambda value: value is None)


class Resampling(JsonResult):
    """How confidence intervals are found; see `triaffect.metrics.bootstrap`.

    Attributes:
        level: Their level.
        resamples: How often units are drawn anew; 0 finds no intervals.
        seed: Decides what is drawn.
        unit: What is drawn.
    """

    level: float = LEVEL
    resamples: int
    seed: int = 0
    unit: str = UNIT


class TaskResult(JsonResult):
    """Score of one task; see `triaffect.tasks.task.TaskScore`."""

    value: float
    parts: dict[str, float]
    count: int
    by_part: dict[str, dict[str, float | int]] | None = optional_field()
    confusion: list[list[int]] | None = optional_field()
    accuracy: float | None = optional_field()


class IntervalResult(JsonResult):
    """Intervals of every score; see `triaffect.metrics.bootstrap.Intervals`."""

    official: dict[str, tuple[float, float] | None]
    parts: dict[str, dict[str, tuple[float, float] | None]]
    units: dict[str, int]


class RecordingResult(JsonResult):
    """Score over whole recordings, the predictions of each averaged over its rows.

    Attributes:
        count: Number of recordings.
        accuracy: Share of them whose class is right.
        mean_recall: Mean over the classes of the share that is right.
    """

    count: int
    accuracy: float
    mean_recall: float


class RowsResult(JsonResult):
    """Scores of some rows of a split.

    Attributes:
        rows: Number of rows.
        official: ``P_<key>`` of each task and ``P_MTL``.
        tasks: By task key.
        accuracy: By key of a task of exclusive classes.
        intervals: None if nothing was resampled.
        recordings: By key of a task of exclusive classes; only for a corpus of sounds.
    """

    rows: int
    official: dict[str, float]
    tasks: dict[str, TaskResult]
    accuracy: dict[str, float]
    intervals: IntervalResult | None = optional_field()
    recordings: dict[str, RecordingResult] | None = optional_field()

    @classmethod
    def of(cls, rows: int, score: Score, intervals: Intervals | None) -> Self:
        """Combine a score and its intervals.

        Args:
            rows: Number of rows scored.
            score: Their score.
            intervals: Intervals of it; None if nothing was resampled.
        """
        scores = score.to_json()
        accuracy = {
            key: each["accuracy"]
            for key, each in scores["tasks"].items()
            if each["count"] and "accuracy" in each
        }
        return cls(
            rows=rows,
            **scores,
            accuracy=accuracy,
            intervals=None if intervals is None else IntervalResult(**intervals.to_json()),
        )


class PoolResult(JsonResult):
    """Scores of one pool of rows as the authors' program computes them.

    Attributes:
        rows: Rows of the pool.
        batch: Rows of each of its mini-batches.
        authors: By name of a score, its value for each shuffle.
        official: By name, of the same rows as one set.
    """

    rows: int
    batch: int
    authors: dict[str, list[float]]
    official: dict[str, float]


class AuthorsResult(JsonResult):
    """The authors' scores: means over shuffled mini-batches.

    Attributes:
        batch_size: Rows of a mini-batch of the largest pool, at most.
        iterations: Mini-batches of each pool.
        seeds: Seed of each shuffle.
        pools: By name of the pool.
    """

    batch_size: int
    iterations: int
    seeds: list[int]
    pools: dict[str, PoolResult]


class StageResult(JsonResult):
    """Scores of one stage of a run, or of a model.

    Attributes:
        overall: Of all rows.
        corpora: Of the rows of each corpus.
        authors: Only if they were requested.
    """

    overall: RowsResult = Field(validation_alias="all", serialization_alias="all")
    corpora: dict[str, RowsResult]
    authors: AuthorsResult | None = optional_field()


class Evaluation(JsonResult):
    """Scores of a run, or of a model folder, on one split of a store.

    Attributes:
        run: The folder.
        split: Name of the split.
        resampling: How intervals were found.
        chance: Best official scores of a constant prediction on the same rows.
        reachable: Best official scores that their labels allow; empty where that is a whole one.
        stages: By stage; of a model folder the one "model".
        unscored_rows: Labelled rows of the split that have no input.
        parts: Names of the parts of each task's score.
    """

    run: str
    split: str
    resampling: Resampling = Field(validation_alias="bootstrap", serialization_alias="bootstrap")
    chance: dict[str, float]
    reachable: dict[str, float] = Field(default_factory=dict, exclude_if=lambda value: not value)
    stages: dict[str, StageResult]
    unscored_rows: int = Field(validation_alias="unasked", serialization_alias="unasked")
    parts: dict[str, list[str]]

"""Scores of runs and models on one split of a store: overall, by corpus and by recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.datasets.batches import Samples
from triaffect.datasets.windows import WindowSamples, streams_of
from triaffect.errors import StoreError, TriaffectError
from triaffect.evaluation.minibatch_scores import authors_scores, pools_of_run, pools_of_sets
from triaffect.evaluation.results import (
    Evaluation,
    RecordingResult,
    Resampling,
    RowsResult,
    StageResult,
)
from triaffect.features.extractors.registry import shipped_or
from triaffect.features.model_folder import DESCRIPTION, load_model_folder
from triaffect.features.store import FeatureStore, check_networks
from triaffect.metrics.abaw import (
    EVERY_ROW,
    chance_score,
    reachable_scores,
    score_statistics,
    statistics_of,
)
from triaffect.metrics.bootstrap import bootstrap
from triaffect.prediction.heads import Fusion
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.training.build import INPUTS_NEEDED
from triaffect.training.run_folder import RunFolder, read_recipe
from triaffect.training.scoring import Predictions, open_run, predict_rows, truth_of
from triaffect.training.view import video_of
from triaffect.types import IntArray, SourceKind, Split, Targets

RESAMPLES = 1000


@dataclass(frozen=True)
class EvaluationOptions:
    """What to compute besides the official scores.

    Attributes:
        authors: The score of the authors' program too.
        resamples: How often videos are drawn anew for the intervals; 0 for none.
        seed: Of the resamples, and of the first shuffle of the authors' score.
    """

    authors: bool = False
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True)
class ScoredRows:
    """Rows of one split of a store that a network has inputs for.

    Attributes:
        store: The store.
        samples: Its rows, as the network takes them.
        rows: Which of them belong to the split.
        tasks: What to score.
    """

    store: FeatureStore
    samples: Samples
    rows: IntArray
    tasks: Sequence[Task]

    def corpora(self) -> NDArray[np.str_]:
        """Return the corpus of each row, shape (rows,)."""
        return self.samples.rows.corpus[self.rows]

    def sources(self) -> NDArray[np.str_]:
        """Return the source id of each row, shape (rows,)."""
        moments = self.samples.rows.moments[self.rows]
        return self.store.moments.dictionary_column("source")[moments]

    def count_unscored(self) -> int:
        """Count the labelled rows of the same split that the network has no input for."""
        name = str(self.samples.rows.split[self.rows[:1]][0])
        return _count_without_inputs(
            self.store, self.samples.rows.moments[self.rows], self.tasks, name
        )

    def units(self) -> IntArray:
        """Number what each row is resampled with: its video, or in a set of stills its person.

        The pictures of one source may be a whole corpus of strangers; copies of one picture
        count as one person there.

        Returns:
            Numbers from 0, not all of them used, shape (rows,), int64.
        """
        source, names = self._codes("source")
        person, _ = self._codes("person")
        video = dict(zip(self.store.sources, video_of(self.store), strict=True))
        numbers: dict[str, int] = {}
        own = [numbers.setdefault(video[name] or "", len(numbers)) for name in names]
        is_still = np.array([video[name] is None for name in names])
        return np.where(is_still[source], len(numbers) + person, np.array(own)[source])

    def _codes(self, column: str) -> tuple[IntArray, list[str]]:
        """Return a text column of the rows as numbers, and the texts they stand for."""
        words = self.store.moments.dictionary_column(column)
        moments = self.samples.rows.moments[self.rows]
        return words.codes[moments].astype(np.int64), list(words.values)


def _count_without_inputs(
    store: FeatureStore, moments: IntArray, tasks: Sequence[Task], split: str
) -> int:
    """Count the labelled moments of a split of a store that are not among those with inputs."""
    columns = tuple(column for task in tasks for column in task.columns)
    labelled = store.moments.labeled(columns)[0]
    labelled[moments] = False
    return int((labelled & (store.moments.dictionary_column("split") == split)).sum())


def rows_of_split(
    store: FeatureStore, samples: Samples, name: str, tasks: Sequence[Task]
) -> ScoredRows:
    """Select the rows of a split.

    Args:
        store: The store.
        samples: Its rows, as a network takes them.
        name: "train", "validation" or "test".
        tasks: What to score.

    Returns:
        The rows of the split that the samples hold, one at least.

    Raises:
        TriaffectError: No split has that name.
        StoreError: It has no rows.
    """
    if name not in set(Split):
        near = get_close_matches(name, list(Split), 1)
        remedy = f"did you mean {near[0]}?" if near else ""
        raise TriaffectError("one of " + ", ".join(Split), repr(name), remedy, where="--split")
    rows = np.flatnonzero(samples.rows.split == name)
    if not len(rows):
        others = samples.rows.split.unique()
        remedy = f"it has {' and '.join(others)}" if others else "extract a corpus with labels"
        expected, got = f"labelled rows of the split '{name}'", "none"
        if count := _count_without_inputs(store, samples.rows.moments, tasks, name):
            expected += " that the network has inputs for"
            got, remedy = f"none of {count:,}", f"extract a corpus {INPUTS_NEEDED}"
        raise StoreError(expected, got, remedy, where=store.path)
    return ScoredRows(store, samples, rows, tasks)


def check_run(root: Path, store: FeatureStore) -> None:
    """Check that a store holds vectors of the networks that a run's exported model has.

    A run that made a network, and did not use one, reads what that network reads.

    Args:
        root: The run folder; nothing is checked if it has no exported model, or one whose
            network reads crops or sounds.
        store: The store.

    Raises:
        StoreError: It was made with others.
        ModelError: The model folder is damaged.
    """
    exported = RunFolder(root).model
    if (exported / DESCRIPTION).is_file():
        model = load_model_folder(exported)
        if read_recipe(root).data.input == "windows":
            check_networks(model, store)


def evaluate_folder(
    folder: Path,
    store: FeatureStore,
    split: str = Split.TEST,
    options: EvaluationOptions = EvaluationOptions(),
) -> Evaluation:
    """Score every stage of a finished run, or a model folder, on one split of a store.

    Args:
        folder: The run folder, the model folder, or ``default`` for the shipped weights.
        store: The store.
        split: "train", "validation" or "test".
        options: What else to compute.

    Returns:
        Scores by stage; a model folder has the one stage "model".

    Raises:
        RunError: The folder holds no run, or an unfinished one.
        StoreError: The store has no such rows, or lacks what the networks need.
        ModelError: The model folder is damaged.
    """
    folder = shipped_or(folder)
    if (folder / DESCRIPTION).is_file():
        return evaluate_model(folder, store, split, options)
    return evaluate_run(folder, store, split, options)


def evaluate_run(
    run: Path,
    store: FeatureStore,
    split: str = Split.TEST,
    options: EvaluationOptions = EvaluationOptions(),
) -> Evaluation:
    """Score each stage of a finished run.

    Args:
        run: The run folder.
        store: The store.
        split: "train", "validation" or "test".
        options: What else to compute.

    Returns:
        Scores of each stage, with its best weights and its own thresholds.

    Raises:
        TriaffectError: As `evaluate_folder`.
    """
    check_run(run, store)
    work, stages = open_run(run, store)
    rows = rows_of_split(work.store, work.samples, split, work.tasks)
    predictions = {
        stage.name: (
            replace(rows, tasks=stage.tasks),
            predict_rows(stage.net, work.samples, rows.rows, stage.tasks, unlearned=work.unlearned),
        )
        for stage in stages
    }
    pools = pools_of_run(work, split) if options.authors else {}
    return _evaluation(run, split, predictions, pools, options)


def evaluate_model(
    folder: Path,
    store: FeatureStore,
    split: str = Split.TEST,
    options: EvaluationOptions = EvaluationOptions(),
) -> Evaluation:
    """Score a model folder, run with onnxruntime as it is shipped.

    Args:
        folder: The model folder.
        store: The store, of vectors of the model's own networks.
        split: "train", "validation" or "test".
        options: What else to compute.

    Returns:
        Scores of the one stage "model".

    Raises:
        TriaffectError: As `evaluate_folder`.
    """
    model = load_model_folder(folder)
    check_networks(model, store)
    fusion = Fusion(model, TASKS)
    tasks = [task.with_thresholds(model.manifest.thresholds) for task in fusion.tasks]
    samples = WindowSamples(store, tasks, fusion.part.window, streams=streams_of(fusion.part))
    rows = rows_of_split(store, samples, split, tasks)
    predictions = {"model": (rows, fusion.of_inputs(samples.inputs(rows.rows)))}
    pools = pools_of_sets(samples, split, tasks) if options.authors else {}
    return _evaluation(folder, split, predictions, pools, options)


def _evaluation(
    folder: Path,
    split: str,
    predictions: Mapping[str, tuple[ScoredRows, Predictions]],
    pools: Mapping[str, IntArray],
    options: EvaluationOptions,
) -> Evaluation:
    """Score each stage's predictions and chance.

    Args:
        folder: The run or model.
        split: Name of the split.
        predictions: By stage its rows, with the thresholds of its own, and its predictions.
        pools: Rows by pool, for the authors' scores; none if they are not requested.
        options: What else to compute.
    """
    resampling = Resampling(resamples=options.resamples, seed=options.seed)
    stages = {}
    for name, (rows, prediction) in predictions.items():
        stages[name] = score_rows(rows, prediction, resampling)
        if pools:
            labels = truth_of(rows.samples, rows.rows)
            own = {pool: np.searchsorted(rows.rows, each) for pool, each in pools.items()}
            authors = authors_scores(labels, prediction, own, rows.tasks, options.seed)
            stages[name] = stages[name].model_copy(update={"authors": authors})
    rows = next(iter(predictions.values()))[0]
    truth = truth_of(rows.samples, rows.rows)
    return Evaluation(
        run=str(folder),
        split=split,
        resampling=resampling,
        chance=chance_score(truth, rows.tasks).official,
        reachable=reachable_scores(truth, rows.tasks),
        stages=stages,
        unscored_rows=rows.count_unscored(),
        parts={task.key: list(task.part_names) for task in rows.tasks},
    )


def score_rows(rows: ScoredRows, prediction: Predictions, resampling: Resampling) -> StageResult:
    """Compute the official score of all rows and of each corpus, with intervals.

    Args:
        rows: The rows.
        prediction: Activated predictions for them, shape (rows, K) each.
        resampling: How often and by what seed units are resampled.

    Returns:
        The scores; a corpus of sounds has those of whole recordings too.
    """
    truth, units = truth_of(rows.samples, rows.rows), rows.units()
    corpora = rows.corpora()
    names = np.unique(corpora)

    def score(at: IntArray | slice) -> RowsResult:
        _, unit = np.unique(units[at], return_inverse=True)
        statistics = statistics_of(truth, prediction, rows.tasks, unit, int(unit.max()) + 1, at)
        intervals = None
        if resampling.resamples:
            intervals = bootstrap(statistics, rows.tasks, resampling.resamples, resampling.seed)
        return RowsResult.of(len(unit), score_statistics(statistics, rows.tasks), intervals)

    overall = score(EVERY_ROW)
    by_corpus = {}
    for name in names:
        at = np.flatnonzero(corpora == name)
        result = overall if len(names) == 1 else score(at)
        recordings = _score_recordings(rows, truth, prediction, at)
        by_corpus[str(name)] = result.model_copy(update={"recordings": recordings})
    return StageResult(overall=overall, corpora=by_corpus)


def _score_recordings(
    rows: ScoredRows, truth: Mapping[str, Targets], prediction: Predictions, at: IntArray
) -> dict[str, RecordingResult] | None:
    """Score the rows of one corpus by whole recording, if it is a corpus of sounds."""
    kinds = {entry.source: entry.kind for entry in rows.store.entries}
    sources = rows.sources()[at]
    if kinds[str(sources[0])] != SourceKind.SOUND:
        return None
    _, recording = np.unique(sources, return_inverse=True)
    count = np.bincount(recording)
    results = {}
    for task in (task for task in rows.tasks if task.exclusive):
        label, guess = (
            np.stack([np.bincount(recording, column) for column in values.T], 1).argmax(1)
            for values in (truth[task.key].values[at], prediction[task.key][at])
        )
        recalls = [float((guess[label == c] == c).mean()) for c in np.unique(label)]
        accuracy, recall = float((label == guess).mean()), float(np.mean(recalls))
        results[task.key] = RecordingResult(count=len(count), accuracy=accuracy, mean_recall=recall)
    return results

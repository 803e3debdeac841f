"""Time of scores and intervals, and what the intervals hold: python benchmarks/bench_scores.py.

A million simulated rows in videos, scored as ``triaffect evaluate`` does once a network has
answered, on one thread. Then how often a 95 % interval of the valence-arousal score holds the
true value, which is 0.5 by construction, for sets of few and of many videos.
"""

import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from measure import Measurement, measure, report

from triaffect.metrics.abaw import per_batch_score, score_statistics, statistics_of
from triaffect.metrics.bootstrap import bootstrap
from triaffect.metrics.simulation import draw_labels, predictors
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import targets_of
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

RESULT = Path(__file__).parent / "results" / "scores.json"
ROWS, VIDEOS, RESAMPLES, BATCH, REPEATS, SEED = 1_000_000, 500, 1000, 15, 5, 0
PEOPLE = 30_000
"""Units of a large set of stills."""
UNITS, SETS, ROWS_A_UNIT = (10, 20, 60, 150), 400, 5


def times() -> list[Measurement]:
    """Seconds of each step, for a million rows."""
    rng = np.random.default_rng(SEED)
    labels = draw_labels(ROWS, rng)
    truth = {key: targets_of(values) for key, values in labels.items()}
    said = next(values for name, values in predictors(labels, rng) if name == "noise 0.2")
    unit = np.sort(rng.integers(0, VIDEOS, ROWS))
    person = rng.integers(0, PEOPLE, ROWS)
    batches = rng.permutation(ROWS)[: ROWS // BATCH * BATCH].reshape(-1, BATCH)
    statistics = statistics_of(truth, said, TASKS, unit, VIDEOS)
    many = statistics_of(truth, said, TASKS, person, PEOPLE)
    steps = {
        f"statistics of {VIDEOS} videos": partial(statistics_of, truth, said, TASKS, unit, VIDEOS),
        "official scores from them": partial(score_statistics, statistics, TASKS),
        f"{RESAMPLES} resamples of {VIDEOS} videos": partial(
            bootstrap, statistics, TASKS, RESAMPLES
        ),
        f"{RESAMPLES} resamples of {PEOPLE} people": partial(bootstrap, many, TASKS, RESAMPLES),
        f"authors' mean over batches of {BATCH}, one shuffle": partial(
            per_batch_score, truth, said, batches, TASKS
        ),
    }
    return [_seconds(name, step) for name, step in steps.items()]


def _seconds(name: str, step: Callable[[], object]) -> Measurement:
    def once() -> int:
        step()
        return 1

    rates = measure(name, "1/s", once, 0.0, REPEATS)
    return Measurement(name, "s", tuple(1 / rate for rate in rates.values))


def coverage() -> list[Measurement]:
    """Share of intervals that hold the true score."""
    rng = np.random.default_rng(SEED)
    found = []
    for units in UNITS:
        unit = np.repeat(np.arange(units), ROWS_A_UNIT)
        held = 0
        for seed in range(SETS):
            common = rng.normal(size=(units, 2))[unit]
            label, said = (common + rng.normal(size=common.shape) for _ in range(2))
            truth = {VALENCE_AROUSAL.key: targets_of(label)}
            statistics = statistics_of(
                truth, {VALENCE_AROUSAL.key: said}, [VALENCE_AROUSAL], unit, units
            )
            ends = bootstrap(statistics, [VALENCE_AROUSAL], RESAMPLES, seed).official["P_VA"]
            held += ends[0] <= 0.5 <= ends[1]
        name = f"intervals that hold the truth, {units} videos"
        found.append(Measurement(name, "%", (100 * held / SETS,)))
    return found


def main() -> None:
    measured = times()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    measured.append(Measurement("peak memory, labels included", "MB", (peak_mb,)))
    settings = {"rows": ROWS, "seed": SEED, "sets": SETS, "rows_a_video": ROWS_A_UNIT}
    report("scores", [*measured, *coverage()], settings, RESULT)


if __name__ == "__main__":
    main()

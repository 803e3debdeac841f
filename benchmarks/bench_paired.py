"""What intervals of differences hold, and what they cost: python benchmarks/bench_paired.py.

Two systems with a known difference of their valence-arousal score, over simulated videos and
seeds: how often does the 95 % interval of ``triaffect compare`` hold it? That depends on whose
luck it is: a seed's, a video's for one system, or both at once. Where seeds matter most, also
with as many seeds drawn as there are. Then the time of resampling one run's scores.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
from measure import Measurement, measure, report

from triaffect.metrics import paired
from triaffect.metrics.abaw import statistics_of
from triaffect.metrics.paired import ResampledScores, difference, drawn_units, resample_scores
from triaffect.metrics.simulation import draw_labels, predictors
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import targets_of
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

RESULT = Path(__file__).parent / "results" / "paired.json"
SETS, RESAMPLES, ROWS_A_UNIT, SEED, REPEATS = 400, 1000, 5, 0, 3
NOISE = (1.0, 0.9)
"""Of the first and the second system's predictions."""


@dataclass(frozen=True)
class Luck:
    """Where the difference of two systems comes from besides their worth.

    Attributes:
        spread: Of the noise from seed to seed, as a share of it.
        own: Share of the noise's variance that a video has with one system, whatever the seed.
        fresh: Share that each row has anew with each seed; the rest is a video's with both.
        cases: Numbers of videos and of seeds.
    """

    spread: float
    own: float
    fresh: float
    cases: tuple[tuple[int, int], ...]


LUCK = {
    "mixed": Luck(0.05, 0.3, 0.3, tuple(product((20, 60, 150), (1, 3, 10)))),
    "seeds": Luck(0.15, 0.05, 0.05, tuple(product((150,), (1, 3, 5, 10)))),
    "both at once": Luck(0.0, 0.0, 1.0, tuple(product((150,), (1, 3, 10)))),
}


def true_difference(spread: float) -> float:
    """By how much the second system's expected CCC exceeds the first's.

    A label is a signal plus noise of its size, a prediction the signal plus noise of size s; so
    the covariance is 1, the variances are 2 and 1 + s², and the CCC is 2 / (3 + s²).
    """
    z = np.random.default_rng(1).normal(size=1_000_000)
    first, second = (np.mean(2 / (3 + (s * np.exp(spread * z)) ** 2)) for s in NOISE)
    return float(second - first)


def made_set(
    luck: Luck, units: int, seeds: int, rng: np.random.Generator
) -> list[dict[int, ResampledScores]]:
    """Scores of both systems by seed, on videos that were drawn anew."""
    unit = np.repeat(np.arange(units), ROWS_A_UNIT)
    shape = (len(unit), 2)
    signal = rng.normal(size=(units, 2))[unit]
    truth = {VALENCE_AROUSAL.key: targets_of(signal + rng.normal(size=shape))}
    both = np.sqrt(1 - luck.own - luck.fresh) * rng.normal(size=(units, 2))[unit]
    counts = drawn_units(units, RESAMPLES, int(rng.integers(1 << 31)))
    systems = []
    for noise in NOISE:
        shared = both + np.sqrt(luck.own) * rng.normal(size=(units, 2))[unit]
        runs = {}
        for seed in range(seeds):
            size = noise * np.exp(luck.spread * rng.normal())
            said = signal + size * (shared + np.sqrt(luck.fresh) * rng.normal(size=shape))
            prediction = {VALENCE_AROUSAL.key: said}
            statistics = statistics_of(truth, prediction, [VALENCE_AROUSAL], unit, units)
            runs[seed] = resample_scores(statistics, [VALENCE_AROUSAL], counts)
        systems.append(runs)
    return systems


def coverage() -> Iterator[Measurement]:
    """Share of intervals that hold the true difference, by number of videos and seeds."""
    for name, luck in LUCK.items():
        truth = true_difference(luck.spread)
        for units, seeds in luck.cases:
            held = held_by(luck, units, seeds, truth)
            told = f"luck of {name}, {units} videos, {seeds} seeds"
            yield Measurement(told, "%", (held[0],))
            if name == "seeds":
                yield Measurement(f"{told}, {seeds} drawn", "%", (held[1],))


def held_by(luck: Luck, units: int, seeds: int, truth: float) -> list[float]:
    """Percent of intervals that hold the truth: as they are, and with as many seeds drawn."""
    rng = np.random.default_rng((SEED, units, seeds))
    held = np.zeros(2)
    for number in range(SETS):
        one, two = made_set(luck, units, seeds, rng)
        found = difference(one, two, number)
        with patch.object(paired, "drawn_seeds", lambda seeds: seeds):
            plain = difference(one, two, number)
        held += [each.low[0] <= truth <= each.high[0] for each in (found, plain)]
    return (100 * held / SETS).tolist()


def times() -> Measurement:
    """Seconds to resample all scores of one run."""
    rng = np.random.default_rng(SEED)
    labels = draw_labels(20_000, rng)
    truth = {key: targets_of(values) for key, values in labels.items()}
    said = next(values for name, values in predictors(labels, rng) if name == "noise 0.2")
    unit = np.sort(rng.integers(0, 150, 20_000))
    statistics = statistics_of(truth, said, TASKS, unit, 150)
    counts = drawn_units(150, RESAMPLES, SEED)
    step = partial(resample_scores, statistics, TASKS, counts)

    def once() -> int:
        step()
        return 1

    rates = measure("", "1/s", once, 0.0, REPEATS).values
    name = f"{RESAMPLES} resamples of a run's scores, 150 videos"
    return Measurement(name, "s", tuple(1 / rate for rate in rates))


def main() -> None:
    settings = {
        "seed": SEED, "sets": SETS, "resamples": RESAMPLES, "rows_a_video": ROWS_A_UNIT,
        "noise": NOISE, "luck": {name: asdict(luck) for name, luck in LUCK.items()},
    }  # fmt: skip
    report("paired", [times(), *coverage()], settings, RESULT)


if __name__ == "__main__":
    main()

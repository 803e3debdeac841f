"""What a comparison found, made up."""

import numpy as np

from triaffect.metrics.paired import score_names
from triaffect.tasks.registry import TASKS


def made_comparison(systems=("supervised", "<b>soft</b>/teacher", "soft/student"), seeds=5):
    """Systems of rising worth, the first of which is the baseline."""
    rng = np.random.default_rng(0)
    names = score_names(TASKS)
    told = {}
    for place, system in enumerate(systems):
        values = rng.normal(0.3 + 0.02 * place, 0.02, (seeds, len(names)))
        means = dict(zip(names, values.mean(0), strict=True))
        gaps = {
            name: {
                "mean": 0.02 * place,
                "interval": [0.02 * place - 0.03, 0.02 * place + 0.03],
                "better": min(place, seeds),
                "seeds": seeds,
            }
            for name in names
        }
        told[system] = {
            "entry": system,
            "stage": "student",
            "mean": means,
            "sd": dict.fromkeys(names, 0.02),
            "cost": {
                "seconds": 12.3,
                "seconds_in_all": 20.0,
                "epochs": 7.5,
                "parameters": 5_213_000,
                "rows": 100_000,
                "labels": None,
            },
            "seeds": {
                str(k): {"scores": dict(zip(names, row.tolist(), strict=True))}
                for k, row in enumerate(values)
            },
        }
        if place:
            told[system]["difference"] = gaps
    return {
        "split": "test",
        "rows": 12_345,
        "units": 40,
        "asked": dict.fromkeys(systems, 12_345),
        "bootstrap": {"level": 0.95, "resamples": 1000},
        "baseline": systems[0],
        "systems": told,
        "failed": [{"entry": "broken", "seed": 3, "error": "expected <x>, got y"}],
    }

"""A made-up comparison."""

import numpy as np

from triaffect.evaluation.comparison.results import Comparison, PairedResampling
from triaffect.metrics.paired import score_names
from triaffect.tasks.registry import TASKS


def made_comparison(systems=("supervised", "<b>soft</b>/teacher", "soft/student"), seeds=5):
    """Systems of rising worth, the first of which is the baseline."""
    rng = np.random.default_rng(0)
    names = score_names(TASKS)
    results = {}
    for number, system in enumerate(systems):
        values = rng.normal(0.3 + 0.02 * number, 0.02, (seeds, len(names)))
        gaps = {
            name: {
                "mean": 0.02 * number,
                "interval": [0.02 * number - 0.03, 0.02 * number + 0.03],
                "better": min(number, seeds),
                "seeds": seeds,
            }
            for name in names
        }
        results[system] = {
            "entry": system,
            "stage": "student",
            "recipe_hash": "0" * 8,
            "tasks": {task.key: list(task.part_names) for task in TASKS},
            "mean": dict(zip(names, values.mean(0), strict=True)),
            "sd": dict.fromkeys(names, 0.02),
            "units": dict.fromkeys(names, 40),
            "cost": {
                "seconds": 12.3,
                "seconds_in_all": 20.0,
                "epochs": 7.5,
                "parameters": 5_213_000,
                "rows": 100_000,
                "labels": None,
            },
            "seeds": {
                str(k): {
                    "folder": f"runs/{system}/{k}",
                    "seconds": 12.3,
                    "epochs": 7,
                    "scores": dict(zip(names, row.tolist(), strict=True)),
                }
                for k, row in enumerate(values)
            },
        }
        if number:
            results[system]["difference"] = gaps
    return Comparison(
        store="store",
        split="test",
        rows=12_345,
        units=40,
        available_rows=dict.fromkeys(systems, 12_345),
        resampling=PairedResampling(resamples=1000),
        baseline=systems[0],
        systems=results,
        failed=[{"entry": "broken", "seed": 3, "error": "expected <x>, got y"}],
    )

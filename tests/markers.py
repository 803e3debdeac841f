"""Which test files take long, and why: `make test` leaves them out, `make test-all` runs them.

A single slow test in another file carries its marker itself: ``@pytest.mark.slow``.
"""

from collections.abc import Iterator
from fnmatch import fnmatch

MARKED_FILES = {
    "browser": ["app/test_browser.py", "report/test_browser.py"],
    "fuzz": ["*/test_fuzz*.py"],
    "kill": ["e2e/*"],
    "ray": ["*/test_ray.py"],
    "slow": [
        "benchmarks/test_bench.py",
        "cli/test_demo.py",
        "cli/test_join.py",
        "prediction/test_invariance.py",
        "prediction/test_segment.py",
        "synthetic/test_generate.py",
        "tools/*",
    ],
    "train": [
        "cli/test_compare.py",
        "cli/test_submit.py",
        "cli/test_train*.py",
        "evaluation/test_comparison.py",
        "models/test_attention.py",
        "models/test_mirror.py",
        "training/test_device.py",
        "training/test_external_*.py",
        "training/test_held_out.py",
        "training/test_resume.py",
        "training/test_splits.py",
        "training/test_stage.py",
        "training/test_teacher.py",
    ],
}
"""Patterns of paths below `tests`, by the marker that every test in these files gets."""


def markers_of(path: str) -> Iterator[str]:
    """Yield the markers of a test file, given its path below `tests`.

    >>> list(markers_of("features/test_ray.py"))
    ['ray']
    """
    for marker, patterns in MARKED_FILES.items():
        if any(fnmatch(path, pattern) for pattern in patterns):
            yield marker

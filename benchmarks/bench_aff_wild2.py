"""Time and memory to read the annotation files of Aff-Wild2, at their true number.

    python benchmarks/bench_aff_wild2.py [--keep DIR] [--seed 0]

Makes files of the published form: single-task files with as many annotated frames as the
challenge has, spread over about as many videos, and the two multi-task files with their rows.
Which lines are not annotated is made up. There are no pictures and no videos, whose frame rates
would have to be looked up. Fresh processes then read everything through `open_corpus`: source by
source, into one table of all sources, and into one table with every file read line by line, as
files are that hold a mistake or an unusual spelling. Target: 60 s and 2,000 MB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from triaffect.corpora import aff_wild2_files
from triaffect.corpora.aff_wild2_files import MULTI_TASK_FORMAT, SINGLE_TASK_FORMATS
from triaffect.corpora.base import open_corpus
from triaffect.types import Moments

FOLDERS = {
    "VA": "VA_Estimation_Challenge",
    "EXPR": "EXPR_Classification_Challenge",
    "AU": "AU_Detection_Challenge",
}
SINGLE_TASK = (
    ("VA", "Train_Set", 356, 1_600_000),
    ("VA", "Validation_Set", 76, 330_000),
    ("EXPR", "Train_Set", 248, 590_000),
    ("EXPR", "Validation_Set", 70, 280_000),
    ("AU", "Train_Set", 295, 1_400_000),
    ("AU", "Validation_Set", 105, 450_000),
)
"""Task, split, videos, annotated frames."""
MULTI_TASK = (
    ("training_set_annotations.txt", 142_382, (0.73, 0.64, 0.73)),
    ("validation_set_annotations.txt", 26_876, (1.0, 0.57, 1.0)),
)
"""File, rows, share of them annotated for VA, EXPR and AU."""
UNIT_RATES = (0.12, 0.06, 0.16, 0.26, 0.40, 0.35, 0.25, 0.03, 0.03, 0.03, 0.63, 0.08)
EXPRESSION_COUNTS = (1886, 487, 565, 1254, 3751, 1893, 1003, 4601)
ANNOTATED = {"VA": 0.97, "EXPR": 0.75, "AU": 0.95}
"""Share of a single-task file's lines that are annotated; made up."""
ONE_UNIT_MISSING = 0.02
NOT_ANNOTATED = {"VA": "-5,-5", "EXPR": "-1", "AU": ",".join(["-1"] * 12)}
POOL = 20_000
MODES = {
    "streamed": "source by source",
    "joined": "one table of all",
    "by_line": "line by line",
}

Texts = NDArray[np.str_]


def pool(task: str, generator: Generator) -> Texts:
    """Lines with labels to draw from."""
    if task == "VA":
        values = generator.normal(0.2, 0.35, (POOL, 2)).clip(-1, 1)
        return np.array([f"{valence:.4g},{arousal:.4g}" for valence, arousal in values])
    if task == "EXPR":
        shares = np.array(EXPRESSION_COUNTS) / sum(EXPRESSION_COUNTS)
        return generator.choice(len(shares), POOL, p=shares).astype(str)
    units = (generator.random((POOL, 12)) < UNIT_RATES).astype(int)
    units[generator.random(POOL) < ONE_UNIT_MISSING, 3] = -1
    return np.array([",".join(map(str, row)) for row in units])


def lengths(videos: int, total: int, generator: Generator) -> list[int]:
    """Uneven lengths with the right sum."""
    share = generator.lognormal(0, 1, videos)
    ends = np.round(np.cumsum(share) / share.sum() * total).astype(int)
    return np.diff(ends, prepend=0).clip(1).tolist()


def drawn(
    task: str, rows: int, share: float, pools: dict[str, Texts], generator: Generator
) -> Texts:
    """Lines of one task; missing ones come in stretches, as faces leave the picture."""
    texts = generator.choice(pools[task], rows).astype(object)
    stretch = 50
    gone = np.repeat(generator.random(-(-rows // stretch)) > share, stretch)[:rows]
    texts[gone] = NOT_ANNOTATED[task]
    return texts


def make(root: Path, seed: int) -> None:
    """Write all annotation files."""
    generator = np.random.default_rng(seed)
    pools = {task: pool(task, generator) for task in FOLDERS}
    for task, split, videos, annotated in SINGLE_TASK:
        folder = root / FOLDERS[task] / split
        folder.mkdir(parents=True)
        offset = 0 if split == "Train_Set" else 400  # people of one split alone
        lines = round(annotated / ANNOTATED[task])
        for number, rows in enumerate(lengths(videos, lines, generator), offset):
            texts = drawn(task, rows, ANNOTATED[task], pools, generator)
            write(folder / f"{number}-30-1280x720.txt", SINGLE_TASK_FORMATS[task].header, texts)
    for offset, (name, rows, shares) in zip((0, 400), MULTI_TASK, strict=True):
        parts = [
            drawn(task, rows, share, pools, generator)
            for task, share in zip(FOLDERS, shares, strict=True)
        ]
        video = np.sort(generator.integers(0, 100, rows)) + offset
        texts = [
            f"{number}-30-1280x720/{10 * image + 1:05d}.jpg," + ",".join(values)
            for image, (number, *values) in enumerate(zip(video, *parts, strict=True))
        ]
        write(root / name, MULTI_TASK_FORMAT.header, texts)


def write(path: Path, header: str, lines: Sequence[str] | Texts) -> None:
    path.write_text("\n".join([header, *lines]) + "\n")


def parse(root: Path, mode: str) -> str:
    """Read everything; what came and what it cost this process."""
    if mode == "by_line":
        aff_wild2_files._parse_at_once = lambda *_: None
    started = time.perf_counter()
    corpus = open_corpus(root)
    parts = (corpus.moments(source) for source in corpus.sources())
    rows = sum(map(len, parts)) if mode == "streamed" else len(Moments.concat(parts))
    seconds = time.perf_counter() - started
    problems = len(corpus.problems())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{MODES[mode]:17} {rows:>10,} label rows {seconds:6.1f} s "
        f"{rows / seconds:>9,.0f} rows/s {peak:6,.0f} MB at most, {problems} problems"
    )


def measured(root: Path, seed: int) -> None:
    started = time.perf_counter()
    make(root, seed)
    files = [path for path in root.rglob("*.txt") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    seconds = time.perf_counter() - started
    print(f"made              {len(files):,} files, {size:.0f} MB, in {seconds:.0f} s", flush=True)
    for mode in MODES:
        command = [sys.executable, __file__, "--parse", mode, "--keep", str(root)]
        subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="new folder for the files; default: none stays")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parse", choices=MODES, help="only read what lies in --keep")
    options = parser.parse_args()
    if options.parse:
        print(parse(options.keep, options.parse))
    elif options.keep:
        measured(options.keep, options.seed)
    else:
        with tempfile.TemporaryDirectory() as folder:
            measured(Path(folder), options.seed)


if __name__ == "__main__":
    main()

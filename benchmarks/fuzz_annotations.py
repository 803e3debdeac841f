"""Break annotation files at random, as many as wanted, and count what the readers make of them.

    python benchmarks/fuzz_annotations.py [--files 20000] [--seed 0] [--show 10]

The files, the changes and the reference that knows what is right are those of the tests
(tests/corpora/fuzz.py). Ends with exit code 1 if any file was read wrongly.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.corpora.fuzz import fuzz
from tests.corpora.fuzz_aff_wild2 import KINDS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=10, help="wrongly read files to print")
    options = parser.parse_args()
    warnings.simplefilter("error")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tally = fuzz(KINDS, options.files, options.seed, Path(folder))
    seconds = time.perf_counter() - started
    print(f"files             {tally.files.total():,} in {seconds:.0f} s, seed {options.seed}")
    for kind, files in tally.files.items():
        refused = {why: count for (of, why), count in tally.refused.items() if of == kind}
        reasons = ", ".join(f"{why} {count:,}" for why, count in sorted(refused.items()))
        print(f"{kind:17} {files:,} files, {tally.right[kind]:,} right tables; refused: {reasons}")
    print(f"wrong             {len(tally.wrong)}")
    for each in tally.wrong[: options.show]:
        print(f"  {each}")
    return int(bool(tally.wrong))


if __name__ == "__main__":
    sys.exit(main())

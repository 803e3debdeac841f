"""Kill extraction and training at random, begin them again, and compare how they end.

    python benchmarks/check_kills.py [--kills 100] [--seed 0]

Half the kills of each come after a random time, half at a random operation on files; every kill
is SIGKILL. Prints how many kills came before which part was finished, and what differed from
work that nobody interrupted; ends with exit code 1 if anything did. The work is that of
tests/e2e/kills.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.kills import do_killed, do_whole, made_extract, made_train, warm_up


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of each kind of work")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warm_up()
    wrong = 0
    for name, make in (("extraction", made_extract), ("training and export", made_train)):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            work = make(root)
            whole = do_whole(work, root / "whole")
            tally = do_killed(work, root / "killed", whole, options.kills, options.seed)
        seconds = time.monotonic() - start
        print(
            f"{name}: {tally.kills} kills ({tally.by_time} after a time, {tally.by_operation} at "
            f"an operation on files), {tally.rounds} times to the end, {seconds:.0f} s"
        )
        print("  unfinished: " + ", ".join(f"{k} {n}" for k, n in sorted(tally.places.items())))
        print("\n".join(f"  differs: {line}" for line in tally.wrong) or "  all ends alike")
        wrong += len(tally.wrong)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

"""How long it takes until something happens: python benchmarks/bench_start.py.

Fresh processes: importing the package, the command's help, and a prediction of one picture with
the shipped weights.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
from measure import Measurement, report
from portrait_video import portrait

RESULT = Path(__file__).parent / "results" / "start.json"
REPEATS = 7


def seconds_of(*arguments: str) -> float:
    """Seconds that a fresh interpreter needs."""
    start_s = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start_s


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        picture, table = Path(folder) / "portrait.png", Path(folder) / "table.csv"
        cv2.imwrite(str(picture), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
        starts = {
            "python alone": ("-c", "pass"),
            "import triaffect": ("-c", "import triaffect"),
            "triaffect --help": ("-m", "triaffect", "--help"),
            "triaffect predict, a picture": (
                "-m",
                "triaffect",
                "predict",
                str(picture),
                "-o",
                str(table),
            ),
        }
        measured = [
            Measurement(name, "s", tuple(seconds_of(*arguments) for _ in range(REPEATS)))
            for name, arguments in starts.items()
        ]
    report("start", measured, {}, RESULT)


if __name__ == "__main__":
    main()

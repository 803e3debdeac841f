"""Whether memory, or time a frame, grows with a video's length: python benchmarks/bench_length.py.

Predicts a made video in parts, in a fresh process for each length, with the shipped weights.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from triaffect.cli.made_video import FRAME_RATE, write_portrait_video
from triaffect.cli.measure import Measurement, report

RESULT = Path(__file__).parent / "results" / "length.json"
LENGTHS_S = (10, 60, 300)
PREDICT = """
import json, resource, sys, time
import triaffect
predictor = triaffect.load()
start_s = time.perf_counter()
rows = sum(len(part) for part in predictor.stream(sys.argv[1]))
seconds = time.perf_counter() - start_s
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([peak_mb, 1000 * seconds / rows]))
"""


def main() -> None:
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        for length_s in LENGTHS_S:
            video = write_portrait_video(Path(folder) / "video.mp4", length_s * FRAME_RATE)
            command = [sys.executable, "-c", PREDICT, str(video)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            peak_mb, ms = json.loads(told)
            measured.append(Measurement(f"{length_s} s: peak memory", "MB", (peak_mb,)))
            measured.append(Measurement(f"{length_s} s: time a frame", "ms", (ms,)))
    report("length", measured, {"video": "portrait, 640x480, 25 frames/s, sound"}, RESULT)


if __name__ == "__main__":
    main()

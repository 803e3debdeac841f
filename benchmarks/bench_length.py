"""Whether memory, or time a row, grows with a video's length: python benchmarks/bench_length.py.

Predicts made videos of one minute and of an hour in parts, in a fresh process each, with the
shipped weights. Of the hour, memory is also told as it was after 1, 10, 30 and 60 minutes of it.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import av
from measure import Measurement, report
from portrait_video import FRAME_RATE, write_portrait_video

RESULT = Path(__file__).parent / "results" / "length.json"
MINUTES = (1, 60)
ASKED_AFTER = (1, 10, 30, 60)
PREDICT = """
import json, os, resource, sys, time
import triaffect
predictor = triaffect.load()
start_s, rows, kept_mb = time.perf_counter(), 0, {}
for part in predictor.stream(sys.argv[1]):
    rows += len(part)
    pages = int(open("/proc/self/statm").read().split()[1])
    minute = int(part["time_s"].iloc[-1] / 60 + 1e-6) + 1
    kept_mb[minute] = pages * os.sysconf("SC_PAGE_SIZE") / 1024**2
seconds = time.perf_counter() - start_s
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([peak_mb, 1000 * seconds / rows, kept_mb]))
"""


def repeated(minute: Path, video: Path, times: int) -> Path:
    """The same minute again and again in one file, without encoding it anew."""
    later: Counter[int] = Counter()
    with av.open(str(video), "w") as output:
        for turn in range(times):
            with av.open(str(minute)) as given:
                if not turn:
                    made = [output.add_stream_from_template(stream) for stream in given.streams]
                spans: dict[int, tuple[int, int]] = {}
                for packet in given.demux():
                    if packet.dts is not None and packet.pts is not None:
                        index = packet.stream.index
                        first, _ = spans.get(index, (packet.dts, 0))
                        spans[index] = first, packet.dts + (packet.duration or 0)
                        packet.pts, packet.dts = (
                            packet.pts + later[index],
                            packet.dts + later[index],
                        )
                        packet.stream = made[index]
                        output.mux(packet)
                for index, (first, end) in spans.items():
                    later[index] += end - first
    return video


def main() -> None:
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        minute = write_portrait_video(Path(folder) / "minute.mp4", 60 * FRAME_RATE)
        for minutes in MINUTES:
            video = repeated(minute, Path(folder) / f"{minutes}.mp4", minutes)
            command = [sys.executable, "-c", PREDICT, str(video)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            peak_mb, ms, kept_mb = json.loads(told)
            name = f"{minutes} min"
            measured.append(Measurement(f"{name}: peak memory", "MB", (peak_mb,)))
            measured.append(Measurement(f"{name}: time a row", "ms", (ms,)))
            if minutes > 1:
                for after in ASKED_AFTER:
                    kept = Measurement(
                        f"{name}: memory after {after}", "MB", (kept_mb[str(after)],)
                    )
                    measured.append(kept)
    report("length", measured, {"video": "portrait, 640x480, 25 frames/s, sound"}, RESULT)


if __name__ == "__main__":
    main()

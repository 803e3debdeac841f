"""Load on `triaffect app`: python benchmarks/check_app_load.py [--clients 8] [--requests 200].

Starts the app with the shipped weights, and sends it, from several clients at once, pictures and
short clips; every tenth file is garbage, and one client is killed halfway, with a request under
way. Then one client sends frames and sound to the live WebSocket, as a browser does.

Prints what was answered, how long that took, the server's memory before, halfway and after, and
for live the answers a second, how far they are behind, and the processor time of an answer. Ends
with an error if an answer is missing or wrong, if something is left on the disk, or if memory
grew by more than a tenth from halfway to the end.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
from websockets.sync.client import connect

from triaffect.synthetic.voice import utter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.prediction.tiny_model import portrait, write_clip

MOST_GROWTH = 1.10

Files = list[tuple[str, bytes, int, int]]
Results = multiprocessing.Queue  # of number of the client, whether right, status, seconds
Server = subprocess.Popen[str]


def make_files(folder: Path) -> Files:
    """Name, content, expected status and rows of each kind of request."""
    picture = cv2.imencode(".jpg", cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))[1].tobytes()
    clip = write_clip(folder / "clip.mp4", 15, sound=False).read_bytes()
    garbage = np.random.default_rng(0).bytes(20_000)
    pictures = [("a.jpg", picture, 200, 1)] * 6
    return [*pictures, *[("clip.mp4", clip, 200, 15)] * 3, ("garbage.mp4", garbage, 422, 0)]


def run_client(port: int, number: int, count: int, files: Files, results: Results) -> None:
    """Send requests one after another; put each status, rows and seconds into the queue."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for index in range(count):
        name, content, status, rows = files[(number + index) % len(files)]
        start_s = time.monotonic()
        connection.request("POST", f"/predict?name={name}", content)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        is_right = answer.status == status and body.get("rows", 0) == rows
        results.put((number, is_right, answer.status, time.monotonic() - start_s))


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def processor_s(pid: int) -> float:
    """Processor seconds of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def check_load(server: Server, port: int, folder: Path, clients: int, requests: int) -> bool:
    """Run the clients, one of which is killed halfway; say what became of their requests."""
    files, results = make_files(folder), multiprocessing.Queue()
    run_client(port, 0, 20, files, results)  # what is loaded at the first use is there
    for _ in range(20):
        results.get()
    share = requests // clients
    before_mb, start_s = memory_mb(server.pid), time.monotonic()
    workers = [
        multiprocessing.Process(target=run_client, args=(port, n, share, files, results))
        for n in range(clients)
    ]
    for worker in workers:
        worker.start()
    answers, halfway_mb, killed_at = [], 0.0, None
    expected = share * clients
    while len(answers) < expected:
        try:
            answers.append(results.get(timeout=20))
        except Exception:
            break
        if killed_at is None and len(answers) >= requests // 2:
            halfway_mb = memory_mb(server.pid)
            workers[0].kill()
            killed_at = sum(number == 0 for number, *_ in answers)
            expected = share * (clients - 1) + killed_at
    took_s = time.monotonic() - start_s
    time.sleep(1)
    after_mb = memory_mb(server.pid)
    right, others = sum(ok for _, ok, *_ in answers), [a for a in answers if a[0]]
    seconds = [took for *_, took in answers]
    left = [path.name for path in (folder / "history").iterdir() if path.is_dir()]
    garbage = sum(status == 422 for _, _, status, _ in answers)
    print(
        f"{clients} clients, {requests} requests: {len(answers)} answers in {took_s:.1f} s, "
        f"{right} right, of them {garbage} refusals of garbage; {len(others)} of "
        f"{share * (clients - 1)} of the clients that lived; one killed after {killed_at}"
    )
    print(
        f"an answer: median {1000 * statistics.median(seconds):.0f} ms, longest "
        f"{1000 * max(seconds):.0f} ms; {len(answers) / took_s:.1f} a second"
    )
    print(f"memory {before_mb:.0f} MB before, {halfway_mb:.0f} halfway, {after_mb:.0f} after")
    print(f"left on the disk: {left or 'nothing'}")
    is_flat = after_mb < MOST_GROWTH * halfway_mb
    return right == len(answers) and len(others) == share * (clients - 1) and not left and is_flat


def check_live(server: Server, port: int, seconds: float) -> None:
    """Send frames of 640 by 480, 15 a second, and sound; measure the answers."""
    talk = (utter(6.0, valence=0.2, arousal=0.4) * 32767).astype("<i2")
    frames = []
    for k in range(16):
        picture = np.full((480, 640, 3), 90, np.uint8)
        picture[:, 80:560] = cv2.resize(np.roll(portrait(), k % 8, 1), (480, 480))
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        frames.append(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
    delays, sent = [], {}
    with connect(f"ws://127.0.0.1:{port}/live", max_size=None) as socket:
        socket.recv()
        start_s, busy_s = time.monotonic(), processor_s(server.pid)

        def receive() -> None:
            for text in socket:
                answer = json.loads(text)
                delays.append(time.monotonic() - sent[round(answer["time"], 4)])

        reader = threading.Thread(target=receive, daemon=True)
        reader.start()
        for k in range(round(15 * seconds)):
            time.sleep(max(0.0, start_s + k / 15 - time.monotonic()))
            at_s = round(time.monotonic() - start_s, 4)
            sent[at_s] = time.monotonic()
            socket.send(struct.pack("<Bd", 1, at_s) + frames[k % len(frames)])
            piece = talk[(k * 1066) % 90_000 :][:1066]
            socket.send(struct.pack("<Bd", 2, k / 15) + piece.tobytes())
        time.sleep(0.3)
        took_s, used_s = time.monotonic() - start_s - 0.3, processor_s(server.pid) - busy_s
    steady = sorted(delays[15:])
    print(
        f"live, 640 by 480, 15 frames a second with sound: {len(delays) / took_s:.1f} answers a "
        f"second; behind: median {1000 * statistics.median(steady):.0f} ms, 95 % within "
        f"{1000 * steady[int(0.95 * len(steady))]:.0f} ms; "
        f"{1000 * used_s / len(delays):.0f} ms of processor an answer"
    )


def main() -> None:
    """Run both checks on a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--live-seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "triaffect", "app", "--no-browser", "--port", "0"]
        command += ["--folder", str(folder / "history")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            port = int(re.search(r":(\d+)/", server.stderr.readline())[1])
            try:
                is_good = check_load(server, port, folder, options.clients, options.requests)
                check_live(server, port, options.live_seconds)
            finally:
                server.send_signal(signal.SIGINT)
    print(f"load average of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    sys.exit(not is_good)


if __name__ == "__main__":
    main()

"""How fast a file becomes a table: python benchmarks/bench_predict.py [REPEATS].

``triaffect predict`` as its user runs it, the start of the process included: 20 s of 640x360 at 25
frames/s with sound, one face and four faces, rows of every frame as CSV. Times real time by the
wall, and by the seconds of processor it took, which other work on the machine moves less.
Then the stages alone, on one thread, decoding as the floor; and a cold start.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from measure import Measurement, measure, report
from numpy.typing import NDArray
from portrait_video import FRAME_RATE, SOUND_RATE, portrait

from triaffect.faces.alignment import align_all
from triaffect.faces.detection import CenterFace
from triaffect.faces.tracking import FaceFollower
from triaffect.media.audio import sound_chunks
from triaffect.media.video import Frame, VideoFrames
from triaffect.media.writer import write_video
from triaffect.prediction.options import DETECTION_INTERVAL_S
from triaffect.prediction.predictor import Predictor, load
from triaffect.synthetic.voice import utter

RESULT = Path(__file__).parent / "results" / "predict_file.json"
SECONDS, WIDTH, HEIGHT = 20, 640, 360
FRAMES = SECONDS * FRAME_RATE
FIRST_ROW = """
import sys, triaffect
next(triaffect.load().stream(sys.argv[1]))
"""


def pictures(faces: int) -> Iterator[NDArray[np.uint8]]:
    """The portrait, swaying, once or in each quarter of the picture."""
    side = HEIGHT if faces == 1 else HEIGHT // 2
    small = cv2.resize(portrait(), (side, side), interpolation=cv2.INTER_AREA)
    corners = [(0, 140)] if faces == 1 else [(0, 70), (0, 390), (side, 70), (side, 390)]
    for k in range(FRAMES):
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for number, (top, left) in enumerate(corners):
            x = left + round(25 * np.sin(k / 12 + number))
            picture[top : top + side, x : x + side] = small
        yield picture


def command(video: Path, faces: int, repeats: int) -> Iterator[Measurement]:
    """The whole command, several times."""
    walls, processors, name = [], [], f"predict, {faces} faces"
    for _ in range(repeats):
        before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        words = ["-m", "triaffect", "predict", str(video), "-o", str(video.with_suffix(".csv"))]
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        walls.append(SECONDS / (time.perf_counter() - start_s))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        processors.append(SECONDS / used_s)
    yield Measurement(name, "x real time", tuple(walls))
    yield Measurement(name, "s a s of processor", tuple(processors))


def stages(
    video: Path, predictor: Predictor
) -> Iterator[tuple[str, Callable[[], Iterable[object]]]]:
    """What each step does to all frames, the steps before it done already but for decoding."""
    frames: list[Frame] = list(VideoFrames(video))[:100]
    detector, follower = CenterFace(), FaceFollower(CenterFace(), DETECTION_INTERVAL_S)
    found = [follower(frame.rgb, frame.time_s)[0] for frame in frames]
    crops = np.concatenate(
        [align_all(each.rgb, one.landmarks) for each, one in zip(frames, found, strict=True)]
    )
    part = predictor._fusion.part
    window = np.zeros((len(crops), len(part.window.offsets_s()), part.face_dim), np.float32)
    seen = np.ones(window.shape[:2], np.bool_)
    voice, heard = np.zeros((len(crops), part.voice_dim), np.float32), np.ones(len(crops), np.bool_)
    sound = list(sound_chunks(video, predictor._voice.spec.rate))[: len(frames) // FRAME_RATE]

    def following() -> Iterable[object]:
        follower = FaceFollower(detector, DETECTION_INTERVAL_S)
        return (follower(frame.rgb, frame.time_s) for frame in frames)

    yield "decode", lambda: zip(VideoFrames(video), range(100), strict=False)
    yield "detect in all of every frame", lambda: (detector(frame.rgb) for frame in frames)
    yield "detect and follow", following
    yield (
        "align",
        lambda: (
            align_all(each.rgb, one.landmarks) for each, one in zip(frames, found, strict=True)
        ),
    )
    yield "face network", lambda: [predictor._face(crops)]
    yield "voice", lambda: predictor._voice.stream(iter(sound))
    yield "fusion", lambda: [predictor._fusion(window, seen, voice, heard)]


def timed(step: Callable[[], Iterable[object]]) -> Callable[[], int]:
    """The step, run through, for `measure`."""

    def run() -> int:
        deque(step(), maxlen=0)
        return 100

    return run


def cold_starts(video: Path, repeats: int) -> Iterator[Measurement]:
    """Seconds until a fresh process has imported the package, and has the first rows of a video."""
    for name, words in {
        "python alone": ["-c", "pass"],
        "import triaffect": ["-c", "import triaffect"],
        "first row": ["-c", FIRST_ROW, str(video)],
    }.items():
        seconds = []
        for _ in range(repeats):
            start_s = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True)
            seconds.append(time.perf_counter() - start_s)
        yield Measurement(name, "s", tuple(seconds))


def main() -> None:
    cv2.setNumThreads(1)
    repeats, predictor, measured = int(sys.argv[1]) if sys.argv[1:] else 5, load(), []
    with tempfile.TemporaryDirectory() as folder:
        for faces in (1, 4):
            video, voice = Path(folder) / f"{faces}.mp4", utter(SECONDS, valence=0.3, arousal=0.3)
            write_video(video, pictures(faces), FRAME_RATE, voice, SOUND_RATE)
            measured += command(video, faces, repeats)
            for name, step in stages(video, predictor):
                title = f"{name}, {faces} faces"
                rate = measure(title, "frames/s", timed(step), 0.0, repeats, time.process_time)
                measured.append(rate)
            if faces == 1:
                measured += cold_starts(video, repeats)
    report("predict_file", measured, {"video": "640x360, 25 frames/s, 20 s, voice"}, RESULT)


if __name__ == "__main__":
    main()

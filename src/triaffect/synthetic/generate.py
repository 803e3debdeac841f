"""The whole corpus: plans videos, makes each by itself, writes their annotations."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.aff_wild2 import RENDERED_MARK
from triaffect.errors import TriaffectError
from triaffect.faces.alignment import align
from triaffect.io.atomic import replace_folder
from triaffect.media.images import one_opencv_thread
from triaffect.media.writer import write_video
from triaffect.synthetic.annotations import Annotated, write_annotations
from triaffect.synthetic.emotion import Course, Temper, draw_course, wander
from triaffect.synthetic.labels import NO_AFFECT, NO_CODE, Labels, annotate, with_gaps
from triaffect.synthetic.people import make_person
from triaffect.synthetic.performance import Performance, perform
from triaffect.synthetic.plan import Plan, Role, VideoPlan, plan_videos
from triaffect.synthetic.shot import HEIGHT, WIDTH, Shot
from triaffect.synthetic.voice import (
    Feeling,
    Speech,
    Voice,
    plan_speech,
    room_noise,
    speak,
)
from triaffect.types import Split

VERSION = 1
"""Raised when the same plan no longer gives the same corpus."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_ARENA_BYTES = 1 << 28
_GAPS = 0.2
"""Share of frames that a task's annotation leaves out."""


def generate(
    folder: Path,
    plan: Plan,
    jobs: int = 1,
    on_video: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Make a corpus of rendered people in the form of Aff-Wild2.

    Args:
        folder: Where to; must not exist, or be empty. It appears when all is done.
        plan: What to make; the same plan gives the same files, however many the processes.
        jobs: Processes to work in parallel.
        on_video: Told how many videos of how many are done.

    Raises:
        TriaffectError: The folder exists and is not empty.
        DiskError: It cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TriaffectError(
            "a new or empty folder", "one with something in it", "name another one", where=folder
        )
    with replace_folder(folder) as temporary:
        _write_corpus(temporary, plan, jobs, on_video)


def _write_corpus(root: Path, plan: Plan, jobs: int, on_video: Callable[[int, int], None]) -> None:
    for name in ("cropped_aligned", "videos"):
        (root / name).mkdir(parents=True)
    videos = plan_videos(plan, (WIDTH, HEIGHT))
    annotated: list[Annotated] = []
    for done, roles in enumerate(_made(root, plan, videos, jobs), start=1):
        annotated += roles
        on_video(done, len(videos))
    write_annotations(root, annotated)
    mark = {
        "made_by": "triaffect corpus synth",
        "version": VERSION,
        "faces": "rendered",
        "labels": "rendered",
        "plan": asdict(plan),
        "people": {role.name: role.person for video in videos for role in video.roles},
    }
    (root / RENDERED_MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")


def _made(root: Path, plan: Plan, videos: list[VideoPlan], jobs: int) -> Iterator[list[Annotated]]:
    tasks = [(root, plan.seed, number, video) for number, video in enumerate(videos)]
    if jobs == 1:
        yield from map(_make_video, tasks)
        return
    context = multiprocessing.get_context("spawn")
    workers = min(jobs, len(tasks))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_keep_memory) as pool:
        yield from pool.map(_make_video, tasks)


def _keep_memory() -> None:
    """Let the process keep the memory it frees: a frame's arrays come back every few ms.

    A quarter of the time would go into returning and fetching them. Only glibc has the switch.
    """
    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if set_option is not None:
            set_option(_M_MMAP_THRESHOLD, _ARENA_BYTES)
            set_option(_M_TRIM_THRESHOLD, _ARENA_BYTES)


@one_opencv_thread()
def _make_video(task: tuple[Path, int, int, VideoPlan]) -> list[Annotated]:
    """Make one video with sound, its crops, and its labels; depends on nothing else."""
    root, seed, number, video = task
    random = np.random.default_rng([seed, 1, number])
    people = [make_person(np.random.default_rng([seed, 2, role.person])) for role in video.roles]
    courses = [
        draw_course(list(role.expressions), video.frames, video.rate, Temper.draw(random), random)
        for role in video.roles
    ]
    voices = [Voice(person.pitch_hz, person.tract) for person in people]
    speeches, sound = _talk(video, voices, courses, random)
    shot = Shot(people, random)
    times = np.arange(video.frames) / video.rate
    performances = [
        perform(course, speech.aperture(times), seat, video.rate, random)
        for course, speech, seat in zip(courses, speeches, shot.seats, strict=True)
    ]
    frames = _film(root, video, shot, performances, random)
    write_video(root / "videos" / f"{video.name}.mp4", frames, video.rate, sound)
    return [
        _annotated(role, video, course, performance, random)
        for role, course, performance in zip(video.roles, courses, performances, strict=True)
    ]


def _talk(
    video: VideoPlan, voices: list[Voice], courses: list[Course], random: np.random.Generator
) -> tuple[list[Speech], NDArray[np.float32]]:
    """Everyone's speech, in turns, and the sound of it."""
    seconds = video.frames / video.rate
    times = np.arange(video.frames) / video.rate
    sound = room_noise(seconds, random)
    speeches = []
    for turn, (voice, course) in enumerate(zip(voices, courses, strict=True)):
        feeling = Feeling(times, course.valence, course.arousal)
        share = seconds / len(voices)
        speech = plan_speech(feeling, [(turn * share, (turn + 1) * share)], random)
        sound += speak(voice, feeling, speech, seconds, random)
        speeches.append(speech)
    return speeches, sound


def _film(
    root: Path,
    video: VideoPlan,
    shot: Shot,
    performances: list[Performance],
    random: np.random.Generator,
) -> Iterator[NDArray[np.uint8]]:
    """Frames of a video; crops of the faces that are seen are written on the way."""
    folders = [root / "cropped_aligned" / role.name for role in video.roles]
    for folder in folders:
        folder.mkdir()
    quality = int(random.integers(80, 96))
    tremor = [
        0.5 * np.stack([wander(random, video.frames, video.rate, 0.15) for _ in range(10)], 1)
        for _ in video.roles
    ]
    for number in range(video.frames):
        instants = [performance.instants[number] for performance in performances]
        frame, landmarks = shot.frame(instants, random)
        for folder, performance, marks, shake in zip(
            folders, performances, landmarks, tremor, strict=True
        ):
            if performance.seen[number]:
                crop = align(frame, marks + shake[number].reshape(5, 2))
                path = folder / f"{number + 1:05d}.jpg"
                cv2.imwrite(str(path), crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        yield frame


def _annotated(
    role: Role,
    video: VideoPlan,
    course: Course,
    performance: Performance,
    random: np.random.Generator,
) -> Annotated:
    """Everything the files say of one person: complete for test, with gaps elsewhere."""
    labels = annotate(course, performance, video.rate, random)
    listed = performance.seen.copy()
    if video.split is Split.TEST:
        return Annotated(role.name, video.split, role.tasks, labels, labels, listed, 0)
    listed[int(random.integers(2)) :: 2] = False
    return Annotated(
        name=role.name,
        split=video.split,
        tasks=role.tasks,
        single=with_gaps(labels, _GAPS, random),
        multi=_partly(with_gaps(labels, _GAPS, random), random),
        listed=listed,
        surplus=int(random.integers(-3, 4)),
    )


def _partly(labels: Labels, random: np.random.Generator) -> Labels:
    """Labels of the multi-task file: some videos lack a task, some lack single action units."""
    affect, expression, units = labels.affect.copy(), labels.expression.copy(), labels.units.copy()
    lacking = random.random(3) < [0.12, 0.2, 0.12]
    if lacking.all():
        lacking[:] = False
    if lacking[0]:
        affect[:] = NO_AFFECT
    if lacking[1]:
        expression[:] = NO_CODE
    if lacking[2]:
        units[:] = NO_CODE
    elif random.random() < 0.2:  # noqa: PLR2004
        missing = random.choice(units.shape[1], int(random.integers(1, 4)), replace=False)
        units[:, missing] = NO_CODE
    return replace(labels, affect=affect, expression=expression, units=units)

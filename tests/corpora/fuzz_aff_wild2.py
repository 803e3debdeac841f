"""Aff-Wild2's annotation files for the fuzzer, and the reference that says what they hold.

The reference follows the published form line by line. A file is UTF-8, with or without a byte
order mark. A line ends in a line feed, with or without a carriage return before it. Blanks are
spaces and tabs; they may stand around a header's and a line's fields. Blank lines at the end
count for nothing, any other line must be right, for frames are numbered by line. A number is
decimal, with or without sign, point and exponent.
"""

from __future__ import annotations

import random
import re
import unicodedata
from pathlib import Path

import numpy as np

from tests.corpora.fuzz import Kind, Outcome, Refused, Rows, refusal
from triaffect.corpora.aff_wild2 import AffWild2
from triaffect.corpora.aff_wild2_files import read_test_list
from triaffect.errors import TriaffectError

VA_HEADER = "valence,arousal"
EXPR_HEADER = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
AU_HEADER = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
MTL_HEADER = "image,valence,arousal,expression,aus"
COLUMNS = (
    *("valence", "arousal"),
    *(f"p_{name.lower()}" for name in EXPR_HEADER.split(",")),
    *AU_HEADER.split(","),
)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
IMAGE = re.compile(r"([^/\\]+)/([0-9]{1,8})\.[jJ][pP][eE]?[gG]")
BLANKS = " \t"
MISSING, NO_NUMBER = None, "no number"


def text_lines(content: bytes) -> list[str] | Refused:
    """The lines up to the last that is not blank."""
    lines = []
    for number, raw in enumerate(content.split(b"\n"), 1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            return Refused(number, "not UTF-8")
        if number == 1:
            line = line.removeprefix("\ufeff")
        lines.append(line.removesuffix("\r").strip(BLANKS))
    while lines and not lines[-1]:
        lines.pop()
    return lines or Refused(1, "empty")


def number(text: str) -> float | str:
    """A number, or that it is none."""
    return float(text) if NUMBER.fullmatch(text) else NO_NUMBER


def image(text: str) -> tuple[str, int] | None:
    """Video and 0-based frame of an image; a name starts and ends with something visible."""
    found = IMAGE.fullmatch(text)
    if not found or found[1] in (".", "..") or int(found[2]) < 1:
        return None
    kinds = [unicodedata.category(each) for each in found[1]]
    if any(kind[0] == "C" or kind in ("Zl", "Zp") for kind in kinds):
        return None
    if "Z" in (kinds[0][0], kinds[-1][0]):
        return None
    return found[1], int(found[2]) - 1


def valence_or_arousal(text: str) -> float | str | None:
    value = number(text)
    if value == -5:
        return MISSING
    return value if value != NO_NUMBER and -1 <= value <= 1 else NO_NUMBER


def one_of(text: str, choices: int) -> float | str | None:
    value = number(text)
    if value == -1:
        return MISSING
    return value if value in range(choices) else NO_NUMBER


def labels(va: list[str], expr: list[str], au: list[str]) -> list[float | str | None]:
    """The 22 labels of a line, from the fields of each task that it holds."""
    expression = one_of(expr[0], 8) if expr else MISSING
    faces = [MISSING if expression is MISSING else float(expression == k) for k in range(8)]
    if expression == NO_NUMBER:
        faces = [NO_NUMBER] * 8
    return [
        *([valence_or_arousal(text) for text in va] or [MISSING] * 2),
        *faces,
        *([one_of(text, 2) for text in au] or [MISSING] * 12),
    ]


def row(frame: int, values: list[float | None]) -> tuple[object, ...]:
    return (frame, *(None if value is None else float(np.float32(value)) for value in values))


def body(content: bytes, header: str) -> list[str] | Refused:
    """The lines after the right header."""
    lines = text_lines(content)
    if isinstance(lines, Refused):
        return lines
    given = lines[0].replace(" ", "").replace("\t", "")
    if not given.isascii() or given.lower() != header.lower():
        return Refused(1, "header")
    return lines[1:] or Refused(1, "no lines")


def single_task(task: str, header: str, fields: int) -> Kind:
    """Data line n is frame n - 1 of the file's video; one wrong line refuses the file."""

    def reference(content: bytes) -> Outcome:
        lines = body(content, header)
        if isinstance(lines, Refused):
            return {"video1": lines}
        rows: Rows = []
        for frame, line in enumerate(lines):
            texts = [text.strip(BLANKS) for text in line.split(",")]
            if len(texts) != fields:
                return {"video1": Refused(frame + 2, "number of fields")}
            values = labels(*(texts if task == each else [] for each in ("VA", "EXPR", "AU")))
            if NO_NUMBER in values:
                return {"video1": Refused(frame + 2, "value")}
            if set(values) != {MISSING}:
                rows.append(row(frame, values))
        return {"video1": rows}

    def make(generator: random.Random) -> bytes:
        return made(header, [made_labels(generator, task) for _ in range(length(generator))])

    folder = {"VA": "Estimation", "EXPR": "Classification", "AU": "Detection"}[task]
    path = f"{task}_{folder}_Challenge/Train_Set/video1.txt"
    return Kind(task, make, reference, read_corpus, path)


def multi_task_reference(content: bytes) -> Outcome:
    """A line is an image's; a wrong one refuses the video it names, or is the file's own."""
    lines = body(content, MTL_HEADER)
    if isinstance(lines, Refused):
        return {"": [lines]}
    outcome: Outcome = {"": []}
    first: dict[tuple[str, int], tuple[object, ...]] = {}
    unsure: dict[str, Refused] = {}
    for place, line in enumerate(lines, 2):
        texts = [text.strip(BLANKS) for text in line.split(",")]
        named = image(texts[0])
        values = labels(texts[1:3], texts[3:4], texts[4:]) if len(texts) == 16 else []
        why = "value" if NO_NUMBER in values else "" if values else "number of fields"
        if named is None:
            outcome[""] = outcome[""] or [Refused(place, why or "image")]
            continue
        video, frame = named
        if why and not isinstance(outcome.get(video), Refused):
            outcome[video] = Refused(place, why)
        rows = outcome.setdefault(video, [])
        if why or isinstance(rows, Refused):
            continue
        mine = row(frame, values)
        earlier = first.setdefault((video, mine[0]), mine)
        if earlier is mine and set(values) != {MISSING}:
            rows.append(mine)
        elif earlier != mine:
            unsure.setdefault(video, Refused(place, "contradiction"))
    for video, refused in unsure.items():
        if not isinstance(outcome[video], Refused):
            outcome[video] = refused
    return {
        video: sorted(found) if isinstance(found, list) and video else found
        for video, found in outcome.items()
    }


def read_corpus(folder: Path, path: Path) -> Outcome:
    """What the adapter makes of a folder with one file, in the reference's words."""
    corpus = AffWild2(folder)
    outcome: Outcome = {}
    for source in corpus.sources():
        name = source.source_id.removeprefix("aff_wild2/")
        try:
            table = corpus.moments(source).table
        except TriaffectError as error:
            outcome[name] = refusal(error, path)
        else:
            columns = [table[column].to_pylist() for column in ("frame", *COLUMNS)]
            outcome[name] = list(zip(*columns, strict=True))
    problems = [refusal(error, path) for error in corpus.problems()]
    return outcome if path.name == "video1.txt" else {"": problems, **outcome}


def list_reference(content: bytes) -> Outcome:
    """A first line that begins with "image" and is none is a header; others are images."""
    lines = text_lines(content)
    if isinstance(lines, Refused):
        return {"": lines}
    images = []
    for place, line in enumerate(lines, 1):
        text = line.removesuffix(",").rstrip(BLANKS)
        named = image(text)
        if place == 1 and named is None and text.lower().startswith("image"):
            continue
        if named is None:
            return {"": Refused(place, "image")}
        images.append((text,))
    return {"": images or Refused(1, "no lines")}


def read_list(folder: Path, path: Path) -> Outcome:
    try:
        return {"": [(image,) for image in read_test_list(path)]}
    except TriaffectError as error:
        return {"": refusal(error, path)}


def made(header: str, lines: list[str]) -> bytes:
    return "\n".join([header, *lines, ""]).encode()


def length(generator: random.Random) -> int:
    return generator.choice([1, 2, 3, 5, 8, 13])


def made_labels(generator: random.Random, task: str) -> str:
    """A right line of one task, sometimes with codes in their other spellings."""

    def code(value: int) -> str:
        return generator.choice([f"{value}", f"{value}.0"])

    if task == "VA":
        values = [generator.choice([-1, 0, 1, generator.uniform(-1, 1)]) for _ in range(2)]
        texts = [generator.choice([repr, "{:.3f}".format, "{:g}".format])(x) for x in values]
        return ",".join(code(-5) if generator.random() < 0.2 else text for text in texts)
    count, choices = (1, 8) if task == "EXPR" else (12, 2)
    if generator.random() < 0.2:
        return ",".join([code(-1)] * count)
    return ",".join(
        code(-1) if generator.random() < 0.05 else str(generator.randrange(choices))
        for _ in range(count)
    )


def made_image(generator: random.Random) -> str:
    video = generator.choice(["video1", "12-24-1920x1080_left", "a b", "vidéo", "v1"])
    return f"{video}/{generator.randrange(1, 30):05d}.jpg"


def made_multi_task(generator: random.Random) -> bytes:
    return made(
        MTL_HEADER,
        [
            ",".join([made_image(generator), *(made_labels(generator, t) for t in TASK_ORDER)])
            for _ in range(length(generator))
        ],
    )


def made_test_list(generator: random.Random) -> bytes:
    header = generator.choice(["image", "image,valence,arousal,expression,aus", "Image,"])
    comma = generator.choice(["", ","])
    lines = [made_image(generator) + comma for _ in range(length(generator))]
    content = made(header, lines)
    return content if generator.random() < 0.7 else content.partition(b"\n")[2]


TASK_ORDER = ("VA", "EXPR", "AU")
ODD_IMAGES = (
    *("../x/00001.jpg", "../00001.jpg", "a/../00001.jpg", "/etc/00001.jpg", "./00001.jpg"),
    *("..\\x/00001.jpg", "a/b/00001.jpg", "00001.jpg", "video1/00000.jpg", "video1/0.jpg"),
    *("video1/1.jpg", "video1/00000001.jpg", "video1/000000001.jpg", "video1/99999999.jpg"),
    *("video1/00001.JPG", "video1/00001.jpeg", "video1/00001.Jpg", "video1/00001.png"),
    *("video1/٣.jpg", "video1/-1.jpg", "video1/1e3.jpg", "video1/00001.jpg\x00", "/00001.jpg"),
    *("vid\x00eo/00001.jpg", "vid\x7feo/00001.jpg", "\ufeffvideo1/00001.jpg", "video1 /00001.jpg"),
    *("image", "images/00001.jpg", "image/00001.jpg", "…/00001.jpg", "\u00a0video1/00001.jpg"),
    *("vid\u2028eo/00001.jpg", "vid\u00a0eo/00001.jpg", "vid\u200deo/00001.jpg"),
)
KINDS = (
    single_task("VA", VA_HEADER, 2),
    single_task("EXPR", EXPR_HEADER, 1),
    single_task("AU", AU_HEADER, 12),
    Kind(
        "MTL",
        made_multi_task,
        multi_task_reference,
        read_corpus,
        "MTL_Challenge/train_set.txt",
        ODD_IMAGES,
    ),
    Kind("test list", made_test_list, list_reference, read_list, "list.txt", ODD_IMAGES),
)

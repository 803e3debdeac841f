"""Tables of labels for the fuzzer, and the reference that says what they hold.

The reference reads CSV letter by letter and follows `docs/how-to/use-your-own-data.md`; it shares
nothing with the reader. Where a table has several mistakes, any of them may be the one told.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from tests.corpora.fuzz import MOST_CHANGES, ODD_TEXTS, Tally, changed
from tests.features.made_corpus import write_sound
from tests.media.made import encode
from triaffect.corpora.label_table import LabelTable
from triaffect.errors import TriaffectError

VIDEO_S = (0.0, 0.04, 0.1, 0.13, 0.4, 0.41, 0.9)
STEP_S = VIDEO_S[-1] / 6
SOUND_S = 2.0
SHARES = tuple(
    f"p_{name}"
    for name in ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other")
)
UNITS = tuple(f"AU{n}" for n in (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26))
RATINGS = ("valence", "arousal")
KEYS = ("clip", "frame", "time_s", "face_id", "person", "split")
WANTED = (*KEYS, *RATINGS, "expression", *SHARES, *UNITS)
LABELS = (*RATINGS, *SHARES, *UNITS)
TEXTS = ("clip", "person", "split", "expression")
LONGEST_CELL, LONGEST_MESSAGE = 131_072, 1500
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
ODD_CELLS = (
    *("../a.wav", "/a.wav", "a.wav/", "./a.wav", "C:\\a.wav", "a\\..\\b.wav", "..", ".", "v.mkv"),
    *("x" * 300, "a.wav", "b.wav", "c.jpg", '"a.wav"', '"a,b"', 'a"b', '"a" ', '"', '""', '"a\nb"'),
    *("train", "Test ", "dev", "VALIDATION", "fear", "Hapiness", "3.0", "8", "-0.5", "2.5", "6"),
    *("0,5", "7.5", "2147483647", "2147483648", "1e3", "note", "clip", "Clip", "valence", "AU1 "),
)

CLIPS = ("a.wav", "b.wav", "v.mkv")
Place = tuple[float, float, int]
Wrong = frozenset[int]
"""Rows of which any may be named in a refusal; 0 stands for none, or the file."""


class MistakeError(Exception):
    """A mistake that ends the reading."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def records(text: str, separator: str) -> Iterator[list[str]]:
    """Cells of each record of a CSV text.

    Raises:
        MistakeError: A quote that never ends, or with something behind it.
    """
    at, cells = 0, []
    while at < len(text):
        cell, at = one_cell(text, at, separator)
        end = text[at : at + 1]
        empty = not cells and not cell and end != separator and text[at - 1 : at] != '"'
        cells.append(cell)
        if end == separator:
            at += 1
            if at < len(text):
                continue
            cells.append("")
        else:
            at += 2 if text[at : at + 2] == "\r\n" else 1
        yield [] if empty else cells
        cells = []


def one_cell(text: str, at: int, separator: str) -> tuple[str, int]:
    """The cell that begins at a place, and where it ends."""
    if text[at] != '"':
        start = at
        while at < len(text) and text[at] not in ("\r", "\n", separator):
            at += 1
        return text[start:at], at
    end = at + 1
    while True:
        end = text.find('"', end)
        if end < 0:
            raise MistakeError(0)
        if text[end + 1 : end + 2] != '"':
            break
        end += 2
    if text[end + 1 : end + 2] not in ("", "\r", "\n", separator):
        raise MistakeError(0)
    return text[at + 1 : end].replace('""', '"'), end + 1


def first_line(text: str) -> str:
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


def separator_of(text: str) -> str:
    for separator in ",;\t":
        try:
            names = next(records(first_line(text), separator), [])
        except MistakeError:
            names = loose_names(first_line(text), separator)
        if "clip" in [name.strip().lower() for name in names]:
            return separator
    return ","


def loose_names(line: str, separator: str) -> list[str]:
    """Names of a line whose quotes are wrong; it is refused whatever they are."""
    return [name.strip('"') for name in line.split(separator)]


def parse(content: bytes) -> tuple[list[dict[str, str]], set[int]]:
    """Wanted cells of each row, and the mistakes in the form of the file."""
    text = content.decode("utf-8-sig", "replace")
    separator = separator_of(text)
    lines = records(text, separator)
    try:
        header = next(lines, [])
    except MistakeError:
        return [], {0}
    places, wrong = columns(header)
    if text.encode() != content.removeprefix(b"\xef\xbb\xbf"):
        wrong.add(0)  # not UTF-8
    if any(len(line) > LONGEST_CELL for line in re.split(r"[\r\n]", text)):
        wrong.add(0)  # maybe: a cell may be too long for the library
    rows = []
    try:
        for number, cells in enumerate(lines, 1):
            if any(cell.strip() for cell in cells[len(header) :]):
                wrong.add(number)
            padded = cells + [""] * len(header)
            row = {name: padded[place] for name, place in places.items()}
            rows.append(row if separator == "," else with_points(row))
    except MistakeError:
        wrong.add(0)
    return rows, wrong


def columns(header: list[str]) -> tuple[dict[str, int], set[int]]:
    """Place of each wanted column, and the mistakes in the header."""
    places: dict[str, int] = {}
    wrong: set[int] = set()
    for place, raw in enumerate(header):
        meant = [name for name in WANTED if name.lower() == "".join(raw.split()).lower()]
        if meant and (meant[0] != raw or raw in places):
            wrong.add(0)
        elif meant:
            places[raw] = place
    return places, wrong if "clip" in places else {0}


def with_points(row: dict[str, str]) -> dict[str, str]:
    """Decimal commas as points."""
    comma = re.compile(r"\s*[+-]?\d*,\d+\s*")
    return {
        name: cell.replace(",", ".") if name not in TEXTS and comma.fullmatch(cell) else cell
        for name, cell in row.items()
    }


def value(cell: str, low: float, high: float, whole: bool = False) -> float | None:
    """A number within bounds, None if blank.

    Raises:
        MistakeError: It is none.
    """
    if not cell.strip():
        return None
    if not NUMBER.fullmatch(cell.strip()):
        raise MistakeError(1)
    number = float(cell)
    if not low <= number <= high or (whole and number != int(number)):
        raise MistakeError(1)
    return number


def expression(cell: str) -> list[float | None]:
    names = [name.removeprefix("p_") for name in SHARES]
    text = cell.strip().lower()
    if not text:
        return [None] * 8
    if text in names:
        return [float(name == text) for name in names]
    number = value(text, 0, 7, whole=True)
    return [float(k == number) for k in range(8)]


def shares(row: dict[str, str]) -> list[float | None]:
    values = [value(row[name], 0, np.inf) for name in SHARES]
    given = [each for each in values if each is not None]
    if not given:
        return values
    total = sum(given)
    if len(given) < 8 or np.isinf(total):
        raise MistakeError(1)
    if all(each == int(each) for each in given) and total > 1:
        return [each / total for each in given]
    if abs(total - 1) > 0.01 or max(given) > 1:
        raise MistakeError(1)
    return values


def row_labels(row: dict[str, str]) -> dict[str, float | None]:
    labels: dict[str, float | None] = dict.fromkeys(LABELS)
    for name in RATINGS:
        labels[name] = value(row.get(name, ""), -1, 1)
    if "expression" in row:
        labels.update(zip(SHARES, expression(row["expression"]), strict=True))
    elif set(SHARES) <= row.keys():
        labels.update(zip(SHARES, shares(row), strict=True))
    for name in UNITS:
        labels[name] = value(row.get(name, ""), 0, 1, whole=True)
    return labels


def clip_of(cell: str) -> str:
    clip = cell.strip()
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(clip)
        outside = path.is_absolute() or path.drive or path.root or ".." in path.parts
        odd = any(unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in clip)
        if not path.name or outside or odd or max(map(utf8_length, path.parts)) > 255:
            raise MistakeError(1)
    return str(PurePosixPath(clip))


def utf8_length(text: str) -> int:
    return len(text.encode())


def kind_of(clip: str) -> str:
    suffix = PurePosixPath(clip).suffix.lower()
    if suffix in (".jpg", ".jpeg", ".png", ".bmp", ".webp"):
        return "picture"
    return "sound" if suffix in (".wav", ".flac", ".mp3", ".ogg", ".m4a") else "video"


def reference(content: bytes) -> Wrong | dict[str, Wrong | list[tuple[object, ...]]]:
    """What a table holds: refusals, or rows or refusals of each clip."""
    rows, wrong = parse(content)
    some_shares = bool(rows) and bool(set(SHARES) & rows[0].keys())
    if some_shares and "expression" not in rows[0] and not set(SHARES) <= rows[0].keys():
        wrong.add(0)
    moments: dict[str, list[tuple[int, dict[str, object]]]] = {}
    first: dict[str, int] = {}
    labelled = False
    for number, row in enumerate(rows, 1):
        if not any(cell.strip() for cell in row.values()):
            continue
        try:
            moment = read_row(row)
        except (MistakeError, KeyError):
            wrong.add(number)
            continue
        found = moments.setdefault(str(moment["clip"]), [])
        first.setdefault(str(moment["clip"]), number)
        if any(each is not None for each in moment["labels"].values()):
            labelled = True
            found.append((number, moment))
    if not labelled:
        wrong.add(0)
    if wrong:
        return frozenset(wrong)
    return {f"table/{clip}": outcome(clip, found, first[clip]) for clip, found in moments.items()}


def read_row(row: dict[str, str]) -> dict[str, object]:
    """What one row says.

    Raises:
        MistakeError: Something that it cannot.
    """
    largest = 2**31 - 1
    clip = clip_of(row["clip"])
    frame = value(row.get("frame", ""), 0, largest, whole=True)
    time_s = value(row.get("time_s", ""), 0, 1e308)
    face = value(row["face_id"], 0, largest, whole=True) if "face_id" in row else 0
    split = row.get("split", "").strip().lower() or "train"
    if split not in ("train", "validation", "test"):
        raise MistakeError(1)
    labels = row_labels(row)
    labeled = any(each is not None for each in labels.values())
    if labeled and kind_of(clip) == "picture" and (frame or time_s):
        raise MistakeError(1)
    person = row.get("person", "").strip() or f"table/{clip}"
    return {"clip": clip, "frame": frame, "time_s": time_s, "person": person, "split": split,
            "track": -1 if face is None else int(face), "labels": labels}  # fmt: skip


def outcome(
    clip: str, moments: list[tuple[int, dict]], first: int
) -> Wrong | list[tuple[object, ...]]:
    """Rows of a clip, or the refusals that its file asks for; its first row if it is not there."""
    kind, wrong, rows = kind_of(clip), set(), []
    said: dict[object, object] = {}
    against: set[int] = set()
    untimed = any(moment["frame"] is None for _, moment in moments)
    half_given = untimed or any(moment["time_s"] is None for _, moment in moments)
    unread = clip not in CLIPS and (untimed if kind == "sound" else half_given)
    if kind != "picture" and unread:
        return frozenset({first})
    middle_s = (0.5, 1.0, 1.5) if kind == "sound" else (0.5,)  # half seconds of the middle half
    spread = [
        (number, {**moment, "time_s": time_s})
        for number, moment in moments
        for time_s in (
            middle_s
            if kind != "picture" and moment["frame"] is None and moment["time_s"] is None
            else (moment["time_s"],)
        )
    ]
    for number, moment in spread:
        place = moment["frame"], moment["time_s"], moment["track"]
        try:
            if kind == "picture":
                place = 0, 0.0, moment["track"]
            elif kind == "sound":
                place = sound_place(*place, untimed)
            elif half_given:
                place = video_place(*place, untimed)
        except MistakeError:
            wrong.add(number)
            continue
        frame, time_s, track = place
        rows.append((moment["person"], track, int(frame), time_s, moment["split"],
                     *label_cells(moment["labels"])))  # fmt: skip
        for column, label in enumerate(rows[-1][6:]):
            key = int(frame), time_s, moment["track"], column
            if label is not None and said.setdefault(key, label) != label:
                against.add(number)
                said[key] = label
    return frozenset(wrong or against) if wrong or against else rows


def sound_place(frame: float | None, time_s: float | None, track: int, untimed: bool) -> Place:
    """Frame, time and track in a sound."""
    if untimed and time_s is not None and time_s > 2 * SOUND_S + 1:
        raise MistakeError(1)
    frame = int(time_s * 30 + 0.5 + 1e-6) if frame is None else frame
    return frame, frame / 30 if time_s is None else time_s, track


def video_place(frame: float | None, time_s: float | None, track: int, untimed: bool) -> Place:
    """Frame, time and track in the video."""
    late = time_s is not None and time_s > VIDEO_S[-1] + STEP_S + 1
    if (frame is not None and frame >= len(VIDEO_S)) or (untimed and late):
        raise MistakeError(1)
    if frame is None:
        track = track if time_s < VIDEO_S[-1] + 2 * STEP_S else -1
        apart = [abs(time_s - each) for each in VIDEO_S]
        frame = max(k for k, each in enumerate(apart) if each <= min(apart) + 1e-6)
    return frame, VIDEO_S[int(frame)] if time_s is None else time_s, track


def label_cells(labels: dict[str, float | None]) -> list[object]:
    """Label set and values of a row."""
    given = [
        key
        for key, names in (("VA", RATINGS), ("EXPR", SHARES), ("AU", UNITS))
        if any(labels[name] is not None for name in names)
    ]
    values = [None if each is None else float(np.float32(each)) for each in labels.values()]
    return [given[0] if len(given) == 1 else "MTL", *values]


def read(path: Path) -> Wrong | dict[str, Wrong | list[tuple[object, ...]]]:
    """The same by the reader under test."""
    try:
        corpus = LabelTable(path)
    except TriaffectError as error:
        return refusal(error, path)
    found: dict[str, Wrong | list[tuple[object, ...]]] = {}
    names = ("person", "track", "frame", "time_s", "split", "label_set", *LABELS)
    for source in corpus.sources():
        try:
            table = corpus.moments(source).table.select(list(names))
            found[source.source_id] = [tuple(row.values()) for row in table.to_pylist()]
        except TriaffectError as error:
            found[source.source_id] = refusal(error, path)
    return found


def refusal(error: TriaffectError, path: Path) -> Wrong:
    """The row that an error names; one that is not one short readable line counts as -1."""
    message = str(error).replace(str(path.parent), "")
    odd = any(unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in message)
    if odd or len(message) > LONGEST_MESSAGE:
        return frozenset({-1})
    row = re.search(r", row (\d+)", error.where)
    return frozenset({int(row[1]) if row else 0})


def agrees(got: object, expected: object) -> bool:
    """Whether a refusal is among those expected, and rows are the same."""
    if isinstance(expected, frozenset):
        return isinstance(got, frozenset) and got <= expected
    if isinstance(expected, dict):
        return isinstance(got, dict) and got.keys() == expected.keys() and all(
            agrees(got[clip], each) for clip, each in expected.items()
        )  # fmt: skip
    return isinstance(got, list) and len(got) == len(expected) and all(
        one[:3] == other[:3] and abs(one[3] - other[3]) < 1e-9 and one[4:6] == other[4:6]
        and one[6:] == other[6:]
        for one, other in zip(got, expected, strict=True)
    )  # fmt: skip


def write_media(folder: Path) -> None:
    """The clips that the tables name."""
    folder.mkdir(parents=True, exist_ok=True)
    encode(folder / "v.mkv", [round(1000 * each) for each in VIDEO_S])
    for name in ("a.wav", "b.wav"):
        write_sound(folder / name, SOUND_S)


def make(generator: random.Random) -> bytes:
    """A right table."""
    places = generator.choice([["frame"], ["time_s"], ["frame", "time_s"]])
    keys = [name for name in ("face_id", "person", "split", "note") if generator.random() < 0.5]
    labels = generator.choice([["expression"], list(SHARES), []]) + list(RATINGS)
    labels += generator.sample(UNITS, generator.randint(0, 3))
    columns = ["clip", *places, *keys, *labels]
    generator.shuffle(columns)
    separator = generator.choice([",", ",", ",", ";", "\t"])
    lines = [columns]
    for _ in range(generator.randint(1, 7)):
        cells = right_cells(generator)
        lines.append([written(cells[name], generator) for name in columns])
    return "".join(separator.join(line) + "\n" for line in lines).encode()


def right_cells(generator: random.Random) -> dict[str, str]:
    """Cells that a row may have."""
    clip = generator.choice(["a.wav", "b.wav", "v.mkv", "c.jpg", "sub/d.mp4"])
    frame = 0 if clip == "c.jpg" else generator.randrange(7)
    votes = [generator.randrange(4) for _ in SHARES]
    votes[generator.randrange(8)] += 1
    parts = [0.25, 0.25, 0.5, 0, 0, 0, 0, 0]
    generator.shuffle(parts)
    blank = generator.random() < 0.3
    chosen = votes if generator.random() < 0.5 else parts
    expressions = ["fear", "Anger", "7", "0", "", "3.0"]
    return {
        "clip": clip,
        "frame": str(frame),
        "time_s": "0" if clip == "c.jpg" else f"{generator.random():.3f}",
        "face_id": generator.choice(["", "0", "2", "1.0"]),
        "person": generator.choice(["", "Ann", "Bo, B."]),
        "split": generator.choice(["", "train", "Test", "validation"]),
        "note": generator.choice(["", "x", "1;2"]),
        "expression": generator.choice(expressions),
        **{name: "" if blank else str(each) for name, each in zip(SHARES, chosen, strict=True)},
        **{name: generator.choice(["", "-0.5", "1", "0.25"]) for name in RATINGS},
        **{name: generator.choice(["", "0", "1", "1.0"]) for name in UNITS},
    }


def written(cell: str, generator: random.Random) -> str:
    quoted = any(each in cell for each in ',;\t"') or generator.random() < 0.1
    return f'"{cell}"' if quoted else cell


def fuzz_tables(files: int, seed: int, folder: Path) -> Tally:
    """Make, break and read tables.

    Args:
        files: Number of tables.
        seed: Of all that is random.
        folder: Empty folder to work in.
    """
    write_media(folder)
    generator, tally = random.Random(seed), Tally()
    path = folder / "labels.csv"
    for _ in range(files):
        content = make(generator)
        for _ in range(generator.randint(0, MOST_CHANGES)):
            content = changed(content, generator, ODD_TEXTS + ODD_CELLS)
        judge(path, content, tally)
    return tally


def judge(path: Path, content: bytes, tally: Tally) -> None:
    """Read one table and count what came of it."""
    path.write_bytes(content)
    expected = reference(content)
    try:
        got: object = read(path)
    except Exception as error:
        got = repr(error)
    tally.files["table"] += 1
    if not agrees(got, expected):
        tally.wrong.append(f"{content[:600]!r}: expected {expected}, got {got}")
    elif isinstance(expected, frozenset):
        tally.refused["table", "whole"] += 1
    elif any(isinstance(each, frozenset) for each in expected.values()):
        tally.refused["table", "a clip"] += 1
    else:
        tally.right["table"] += 1

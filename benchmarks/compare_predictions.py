r"""Compare the prediction tables of two installations, such as an old commit and this one.

    python benchmarks/compare_predictions.py OLD_PYTHON NEW_PYTHON CLIPS STILLS SOUNDS \
        --old-tables runs/old --new-source src
    python benchmarks/compare_predictions.py OLD_PYTHON NEW_PYTHON --old-tables runs/old

Predicts the same files with the `triaffect predict` of both interpreters and compares the tables:
the same rows in the same order, every number within 1e-5, every text and truth value equal, the
same columns of the same types. The inputs are files or folders. From them further ones are made:
gray crops, groups of faces, pictures without a face, a clip with a cut, two faces side by side, a
clip that ends early, a folder of frames. Each kind is predicted with the default options, and
some with the other ones of `VARIANTS`.

Prints a line for each kind and variant, with the largest difference of each group of columns,
then every difference. Exits with 1 if one is not in `EXPECTED`.

`--old-tables` keeps the inputs and the old tables; a later call needs no inputs, and old tables are
predicted again only if the old installation, an input or an option has changed. Both
installations are called with the spellings of 0.1.0; `--spelling every=stride` writes `--stride`
for `--every` in calls of the new one, and the same for values. PYTHONPATH is cleared for both;
`--new-source src` sets it for the new one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

TOLERANCE = 1e-5
MAX_PRINTED = 30
"""Differences printed of one table, unless `--all` is given."""


@dataclass(frozen=True)
class Difference:
    """One cell, row, column or outcome that differs.

    Attributes:
        column: The column's name, or what differs in parentheses, such as ``(row)``.
        row: The row's key, such as ``clips/a.mpg, 3, 0``, or what is not of one row in
            parentheses, such as ``(type)``.
        old: The old value.
        new: The new one.
    """

    column: str
    row: str
    old: object
    new: object


@dataclass(frozen=True)
class Rule:
    """Which differences are expected; an empty pattern matches everything.

    Attributes:
        kind: Pattern of the kind of input.
        variant: Pattern of the variant.
        column: Pattern of the column.
        holds: Decides by the difference itself.
    """

    kind: str = ""
    variant: str = ""
    column: str = ""
    holds: Callable[[Difference], bool] = lambda _difference: True

    def matches(self, kind: str, variant: str, difference: Difference) -> bool:
        """Tell whether a difference is one of these."""
        pairs = (self.kind, kind), (self.variant, variant), (self.column, difference.column)
        fit = all(not pattern or re.fullmatch(pattern, text) for pattern, text in pairs)
        return fit and self.holds(difference)


def _is_between_values(difference: Difference) -> bool:
    return difference.row != "(type)" and pd.notna([difference.old, difference.new]).all()


def _is_detected_face(difference: Difference) -> bool:
    """Tell whether a row without a face is gone, or one with a face has come."""
    without_face = difference.row.endswith(", <NA>")
    return difference.new == ("missing" if without_face else "there")


EXPECTED: dict[str, Rule] = {
    "pictures of at most 160 pixels that a face fills are read as crops, as extraction does": Rule(
        "crops", "default", r"(?!clip|frame|time_s|face_id|\().*", _is_between_values
    ),
    "so more faces are detected in such pictures": Rule(
        "crops", "default", r"\(row\)", _is_detected_face
    ),
}
"""Why a difference is expected, and which differences that explains: an entry for each change of
behavior."""

RENAMED_COLUMNS: dict[str, str] = {}
"""New name of a column by a pattern of the old one, as `re.sub` takes them."""

KEYS = ("clip", "input", "frame", "face_id", "Identity", "FaceID")
"""Columns that say which row a row is, in tables of all forms."""

COLUMN_GROUPS = {
    "smoothed": r".*_smooth",
    "relative": r".*_above_own|.*_rel",
    "time": r"frame|time.*|first_s|last_s|seconds|rows",
    "face": r"box_.*|.*_[xy]|[xy]_\d+|head_.*|face_px|sharpness|detection.*|confidence|Face.*",
    "circumplex": r"(valence|arousal).*",
    "expression": r"p_.*|(neutral|anger|disgust|fear|happiness|sadness|surprise|other)(_share)?",
    "units": r"AU\d+.*",
}
"""Patterns of column names, tried in this order; the rest are "other"."""

OTHER, UNEXPLAINED = "other", "unexplained"


@dataclass
class Comparison:
    """Result of comparing two tables.

    Attributes:
        rows: Rows of the old table.
        columns: Columns of both tables together.
        largest: Largest absolute difference of numbers by group of columns; infinite where a
            number stands against a blank.
        differences: Everything that differs.
    """

    rows: int
    columns: int
    largest: dict[str, float] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)


def compare_tables(
    old: pd.DataFrame, new: pd.DataFrame, tolerance: float = TOLERANCE
) -> Comparison:
    """Compare two tables row by row and column by column.

    Rows are matched by their keys, so that one missing row is one difference.

    Args:
        old: A table, with any of the columns `KEYS`.
        new: The other one.
        tolerance: By which numbers may differ.
    """
    old = old.rename(columns=_new_name)
    result = Comparison(len(old), len(old.columns.union(new.columns)))
    both = _compare_labels("column", old.columns, new.columns, result)
    keys = [name for name in KEYS if name in both]
    old, new = _index_by(old, keys), _index_by(new, keys)
    rows = _compare_labels("row", old.index, new.index, result)
    old, new = old.loc[rows], new.loc[rows]
    for name in both:
        if old[name].dtype != new[name].dtype:
            types = str(old[name].dtype), str(new[name].dtype)
            result.differences.append(Difference(name, "(type)", *types))
        _compare_column(name, old[name], new[name], tolerance, result)
    return result


def _new_name(column: str) -> str:
    for pattern, name in RENAMED_COLUMNS.items():
        if re.fullmatch(pattern, column):
            return re.sub(pattern, name, column)
    return column


def _index_by(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Index a table by its keys as one text; the second row with the same keys ends in #1."""
    texts = pd.Series([""] * len(table), dtype=object)
    for number, key in enumerate(keys):
        texts = texts + (", " if number else "") + table[key].map(str).to_numpy(object)
    counter = texts.groupby(texts).cumcount()
    repeated = texts.where(counter == 0, texts + " #" + counter.astype(str))
    return table.set_axis(pd.Index(repeated, dtype=object), axis=0)


def _compare_labels(what: str, old: pd.Index, new: pd.Index, result: Comparison) -> pd.Index:
    """Note rows or columns that only one table has; return those of both."""
    for each in old.difference(new, sort=False):
        result.differences.append(Difference(f"({what})", each, "there", "missing"))
    for each in new.difference(old, sort=False):
        result.differences.append(Difference(f"({what})", each, "missing", "there"))
    both = old[old.isin(new)]
    other_order = new[new.isin(old)]
    for number, (first, second) in enumerate(zip(both, other_order, strict=True)):
        if first != second:
            result.differences.append(Difference(f"({what} {number})", "(order)", first, second))
            break
    return both


def _compare_column(
    name: str, old: pd.Series, new: pd.Series, tolerance: float, result: Comparison
) -> None:
    pair = old, new
    if all(map(_is_number, pair)):
        distance = _distance(old, new)
        group = next((g for g, p in COLUMN_GROUPS.items() if re.fullmatch(p, name)), OTHER)
        largest = float(distance.max(initial=0.0))
        result.largest[group] = max(result.largest.get(group, 0.0), largest)
        differs = distance > tolerance
    else:
        cells = [each.astype(object).where(each.notna(), None).to_numpy(object) for each in pair]
        differs = np.array(
            [type(a) is not type(b) or a != b for a, b in zip(*cells, strict=True)], bool
        )
    for k in np.flatnonzero(differs):
        result.differences.append(Difference(name, old.index[k], old.iloc[k], new.iloc[k]))


def _is_number(column: pd.Series) -> bool:
    types = pd.api.types
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


def _distance(old: pd.Series, new: pd.Series) -> NDArray[np.float64]:
    """Absolute differences (N,): 0 for two blanks, infinite for a number and a blank."""
    pair = [pd.to_numeric(each).to_numpy(np.float64, na_value=np.nan) for each in (old, new)]
    blank = np.isnan(pair[0]), np.isnan(pair[1])
    with np.errstate(invalid="ignore"):
        distance = np.where(pair[0] == pair[1], 0.0, np.abs(pair[0] - pair[1]))
    return np.where(blank[0] | blank[1], np.where(blank[0] & blank[1], 0.0, np.inf), distance)


# Inputs


PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
SOUNDS = {".wav", ".flac", ".mp3", ".opus", ".ogg", ".m4a", ".aac"}
CLIPS = {".mp4", ".mpg", ".mpeg", ".avi", ".mov", ".mkv", ".webm", ".m4v"}


def copy_inputs(paths: Sequence[Path], folder: Path, limits: dict[str, int]) -> None:
    """Copy files into a folder for each kind: ``clips``, ``stills`` and ``sounds``.

    Args:
        paths: Files, and folders to search.
        folder: Where to.
        limits: At most how many of a kind, spread evenly over all of them.
    """
    files = [f for path in paths for f in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    for kind, endings in (("clips", CLIPS), ("stills", PICTURES), ("sounds", SOUNDS)):
        matching = [file for file in files if file.suffix.lower() in endings]
        count = min(limits[kind], len(matching))
        spread = {round(k) for k in np.linspace(0, len(matching) - 1, count)} if count else set()
        for k in sorted(spread):
            target = folder / kind / matching[k].name
            if target.exists():
                target = target.with_name(f"{matching[k].parent.name}_{target.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(matching[k], target)


def make_inputs(folder: Path) -> None:
    """Make further kinds of input from the first clips and stills of a folder."""
    stills = [cv2.imread(str(path)) for path in sorted(folder.glob("stills/*"))[:8]]
    if stills:
        _make_crops(stills[:4], folder / "crops")
        _make_pictures(stills, folder / "pictures")
    clips = sorted(folder.glob("clips/*"))
    for clip in {*clips[:1], *clips[-1:]}:
        (folder / "two_clips").mkdir(exist_ok=True)
        shutil.copyfile(clip, folder / "two_clips" / clip.name)
    frames = [_frames(path) for path in clips[:2]]
    if frames and all(frames):
        _make_clips(frames, folder)
        for sound in sorted(folder.glob("sounds/*"))[:1]:
            shutil.copyfile(sound, folder / "damaged" / sound.name)


def _make_crops(stills: Sequence[NDArray[np.uint8]], folder: Path) -> None:
    """Pictures of at most 160 pixels that one face fills, in gray and color."""
    folder.mkdir(exist_ok=True)
    for number, still in enumerate(stills):
        for share in (0.5, 0.3):
            face = _center(still, share)
            for pixels in (48, 64, 160):
                crop = cv2.resize(face, (pixels, pixels), interpolation=cv2.INTER_AREA)
                stem = folder / f"{number}_{pixels}_{share}"
                cv2.imwrite(f"{stem}_color.png", crop)
                cv2.imwrite(f"{stem}_gray.png", cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY))


def _center(still: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Cut a square from the center of a still, of a share of its shorter side."""
    height, width = still.shape[:2]
    side = round(min(height, width) * share)
    top, left = (height - side) // 2, (width - side) // 2
    return still[top : top + side, left : left + side]


def _make_pictures(stills: Sequence[NDArray[np.uint8]], folder: Path) -> None:
    """Groups, small and turned faces, faces at the edge, and none."""
    folder.mkdir(exist_ok=True)
    small = [cv2.resize(still, (320, 320), interpolation=cv2.INTER_AREA) for still in stills]
    while len(small) < 8:
        small.append(small[len(small) % len(stills)][:, ::-1])
    group = np.vstack([np.hstack(small[:4]), np.hstack(small[4:8])])
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    height, width = stills[0].shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 25, 1)
    pictures = {
        "group": group,
        "small_group": cv2.resize(group, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
        "large_group": cv2.resize(group, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
        "turned": cv2.warpAffine(stills[0], turn, (width, height)),
        "left_edge": stills[0][:, width // 2 :],
        "mirrored": stills[0][:, ::-1],
        "larger_crop": cv2.resize(_center(stills[0], 0.5), (161, 161)),
        "dark": (stills[0] * 0.15).astype(np.uint8),
        "noise": noise,
        "black": np.zeros((100, 100, 3), np.uint8),
        "one_pixel": np.full((1, 1, 3), 128, np.uint8),
        "narrow": stills[0][:, width // 2 : width // 2 + 3],
    }
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / f"{name}.png"), picture)


def _frames(path: Path) -> list[NDArray[np.uint8]]:
    """The first 40 frames of a clip, 360 pixels wide."""
    video, frames = cv2.VideoCapture(str(path)), []
    while len(frames) < 40:
        there, frame = video.read()
        if not there:
            break
        frames.append(cv2.resize(frame, (360, 288)))
    return frames


def _make_clips(clips: Sequence[list[NDArray[np.uint8]]], folder: Path) -> None:
    """Clips with cuts, several and vanishing faces; a folder of frames; damaged files."""
    first, last = clips[0], clips[-1]
    blank = [np.full_like(first[0], 90)] * 15
    beside = [np.hstack(pair) for pair in zip(first, last, strict=False)]
    made = folder / "made_clips"
    _write_clip(made / "cut.avi", first[:20] + last[:25] + first[20:])
    _write_clip(made / "side_by_side.avi", beside)
    _write_clip(made / "gone_and_back.avi", blank + first[:20] + blank + first[20:] + blank)
    _write_clip(made / "no_face.avi", blank)
    _write_clip(made / "slow.avi", first[::4], rate=6)
    frames = folder / "frames" / "talk"
    frames.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(first[:30]):
        if number != 12:
            cv2.imwrite(str(frames / f"{number}.png"), frame)
    damaged = folder / "damaged"
    damaged.mkdir(exist_ok=True)
    source = sorted(folder.glob("clips/*"))[0]
    content = source.read_bytes()
    (damaged / f"half{source.suffix}").write_bytes(content[: len(content) // 2])
    (damaged / "empty.mp4").touch()
    (damaged / "text.jpg").write_text("no picture\n")
    cv2.imwrite(str(damaged / "whole.png"), first[0])


def _write_clip(path: Path, frames: Iterable[NDArray[np.uint8]], rate: float = 25) -> None:
    path.parent.mkdir(exist_ok=True)
    frames = list(frames)
    size = frames[0].shape[1], frames[0].shape[0]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, size)
    for frame in frames:
        video.write(frame)
    video.release()


# Predicting


@dataclass(frozen=True)
class Variant:
    """Options of a prediction.

    Attributes:
        options: In the spellings of 0.1.0.
        kinds: Kinds of input that are predicted with them.
        ending: Form of the table: parquet, csv or jsonl.
        summary: Form of the summary; empty for none.
    """

    options: tuple[str, ...]
    kinds: tuple[str, ...]
    ending: str = "parquet"
    summary: str = ""

    def options_for(self, kind: str) -> tuple[str, ...]:
        """Options for a kind of input; of a folder of frames, also how many there are a second."""
        return (*self.options, *(("--images-as-video", "25") if kind == "frames" else ()))


_STILL = ("stills", "crops", "pictures")
_VIDEO = ("two_clips", "made_clips", "frames")
_IN_TIME = (*_VIDEO, "sounds")
KINDS = ("clips", *_STILL, *_IN_TIME, "damaged")
_TOGETHER = ("--every", "0.1s", "--smooth", "causal:0.2s", "--baseline", "500ms")
VARIANTS = {
    "default": Variant((), KINDS, summary="csv"),
    "every": Variant(("--every", "0.2s"), ("clips", *_IN_TIME), "csv", "parquet"),
    "causal": Variant(("--smooth", "causal"), _IN_TIME, "csv"),
    "centred": Variant(("--smooth", "centred:0.4s"), _IN_TIME),
    "baseline": Variant(("--baseline", "1s"), _IN_TIME),
    "together": Variant((*_TOGETHER, "--most-faces", "1"), ("clips", "made_clips"), "jsonl"),
    "openface": Variant(("--columns", "openface"), ("stills", "pictures", *_IN_TIME), "csv"),
    "pyfeat": Variant(("--columns", "pyfeat"), ("stills", "pictures", *_IN_TIME)),
    "no sound": Variant(("--no-sound",), ("clips", "stills", "damaged")),
    "whole picture": Variant(("--detect-every", "0"), _VIDEO),
    "few faces": Variant(
        ("--smallest-face", "60", "--most-faces", "3"), ("pictures", *_VIDEO), "jsonl"
    ),
}
EXIT_CODE, MESSAGES = "exit_code.txt", "messages.txt"


@dataclass(frozen=True)
class Installation:
    """An interpreter with triaffect.

    Attributes:
        python: The interpreter.
        source: Folder to import triaffect from, None for the installed one.
        spellings: New spelling of options and their values, by the one of 0.1.0.
        jobs: Processes of a prediction, None for the default.
    """

    python: Path
    source: Path | None = None
    spellings: dict[str, str] = field(default_factory=dict)
    jobs: int | None = None

    def describe(self) -> tuple[str, Path]:
        """Return the version, and the folder of the package."""
        code = "import triaffect; print(triaffect.__version__, triaffect.__file__, sep=chr(10))"
        done = self._run(["-c", code], Path.cwd())
        if done.returncode:
            raise SystemExit(f"{self.python} cannot import triaffect:\n{done.stderr}")
        version, file = done.stdout.splitlines()
        return version, Path(file).parent

    def predict(self, kind: str, variant: str, inputs: Path, output: Path) -> int:
        """Predict a kind of input in a variant, and return the exit code.

        Args:
            kind: Folder in `inputs`.
            variant: One of `VARIANTS`.
            inputs: Where the command is run; tables name files relative to it.
            output: Folder for the tables, messages and exit code; replaced.
        """
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        chosen = VARIANTS[variant]
        arguments = [kind, "-o", str(output.resolve() / f"table.{chosen.ending}")]
        arguments += chosen.options_for(kind)
        if chosen.summary:
            arguments += ["--summary", str(output.resolve() / f"summary.{chosen.summary}")]
        if self.jobs is not None:
            arguments += ["--jobs", str(self.jobs)]
        done = self._run(["-m", "triaffect", "predict", *self._spell(arguments)], inputs)
        (output / MESSAGES).write_text(done.stdout + done.stderr)
        (output / EXIT_CODE).write_text(str(done.returncode))
        return done.returncode

    def _spell(self, arguments: Iterable[str]) -> list[str]:
        """Write options and values in this installation's spelling."""
        words = []
        for argument in arguments:
            dashes, word, rest = re.fullmatch(r"(-*)([^:]*)(.*)", argument).groups()
            words.append(f"{dashes}{self.spellings.get(word, word)}{rest}")
        return words

    def _run(self, arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        environment = {k: text for k, text in os.environ.items() if k != "PYTHONPATH"}
        environment["OMP_NUM_THREADS"] = "1"
        if self.source is not None:
            environment["PYTHONPATH"] = str(self.source.resolve())
        # Not resolved: an environment's interpreter is a link, and is its environment by its path.
        command = [str(self.python.absolute()), *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )


def hash_files(folder: Path) -> str:
    """Hash the names and contents of all files in a folder, but compiled ones."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def predict_or_reuse(old: Installation, source: str, kind: str, variant: str, folder: Path) -> Path:
    """Return the folder of an old table; predict it if it is missing or something has changed.

    Args:
        old: The installation.
        source: Hash of its package.
        kind: Kind of input.
        variant: One of `VARIANTS`.
        folder: With ``inputs`` and, later, ``tables``.
    """
    output = folder / "tables" / kind / variant.replace(" ", "_")
    inputs = folder / "inputs"
    chosen = VARIANTS[variant]
    forms = chosen.ending, chosen.summary
    current = repr((source, hash_files(inputs / kind), chosen.options_for(kind), forms))
    note = output / "made_from.txt"
    if not note.is_file() or note.read_text() != current:
        if old.predict(kind, variant, inputs, output) not in (0, 1):
            messages = (output / MESSAGES).read_text()
            raise SystemExit(f"{old.python} cannot predict {kind}, {variant}:\n{messages}")
        note.write_text(current)
    return output


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet, CSV or JSON Lines table."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path, dtype_backend="numpy_nullable")
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines]
        return pd.DataFrame.from_records(records).convert_dtypes()
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype_backend="numpy_nullable")


def compare_folders(old: Path, new: Path) -> Iterator[tuple[str, Comparison]]:
    """Compare the tables that two installations have written, and their exit code.

    Yields:
        What is compared, and the comparison.
    """
    for name in sorted({path.name for path in (*old.iterdir(), *new.iterdir())}):
        paths = old / name, new / name
        if not name.endswith((".parquet", ".csv", ".jsonl")):
            continue
        if all(path.is_file() for path in paths):
            yield name, compare_tables(*map(read_table, paths))
        else:
            states = ["there" if path.is_file() else "missing" for path in paths]
            yield name, Comparison(0, 0, {}, [Difference("(table)", "(all)", *states)])
    codes = [int((folder / EXIT_CODE).read_text()) for folder in (old, new)]
    if codes[0] != codes[1]:
        print((new / MESSAGES).read_text().rstrip())
        yield "exit code", Comparison(0, 0, {}, [Difference("(exit code)", "(all)", *codes)])


# Printing


@dataclass
class Report:
    """Prints comparisons as they come, and keeps their differences for the end.

    Attributes:
        expected: Rules by reason.
        print_all: Print every difference, not only the first `MAX_PRINTED` of each table.
        counts: Differences by reason, "unexplained" for those without one.
        lines: What to print at the end.
    """

    expected: dict[str, Rule]
    print_all: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    def print_heading(self) -> None:
        """Print the titles of the columns."""
        groups = " ".join(f"{name[:10]:>10}" for name in (*COLUMN_GROUPS, OTHER))
        print(f"{'input':10} {'variant':13} {'table':15} {'rows':>5} {'cols':>4} {groups} differ")

    def add(self, kind: str, variant: str, table: str, result: Comparison) -> None:
        """Print a comparison's line."""
        cells = [result.largest.get(name) for name in (*COLUMN_GROUPS, OTHER)]
        groups = " ".join(f"{'-' if each is None else f'{each:.2g}':>10}" for each in cells)
        title = f"{kind:10} {variant:13} {table:15}"
        count = len(result.differences)
        print(f"{title} {result.rows:5} {result.columns:4} {groups} {count:6}", flush=True)
        for number, each in enumerate(result.differences):
            reason = self._reason(kind, variant, each)
            self.counts[reason] += 1
            if self.print_all or number < MAX_PRINTED:
                cell = f"{each.column} [{each.row}]: {each.old} -> {each.new}"
                self.lines.append(f"{title} {cell}  ({reason})")
        if not self.print_all and count > MAX_PRINTED:
            self.lines.append(f"{title} and {count - MAX_PRINTED} more; --all prints them")

    def _reason(self, kind: str, variant: str, difference: Difference) -> str:
        for reason, rule in self.expected.items():
            if rule.matches(kind, variant, difference):
                return reason
        return UNEXPLAINED

    def print_differences(self) -> None:
        """Print the differences, and how many each reason explains."""
        print(*("", *self.lines), sep="\n")
        for reason, count in self.counts.items():
            print(f"{count} {reason}")
        if not self.counts:
            print("no difference")


def prepare_inputs(paths: Sequence[Path], folder: Path, limits: dict[str, int]) -> list[str]:
    """Copy and make inputs in a folder, if paths are given; return the kinds there are."""
    inputs = folder / "inputs"
    if paths:
        shutil.rmtree(inputs, ignore_errors=True)
        copy_inputs(paths, inputs, limits)
        make_inputs(inputs)
    kinds = [kind for kind in KINDS if (inputs / kind).is_dir()]
    if not kinds:
        raise SystemExit("no clip, still or sound: name files or folders, or a full --old-tables")
    return kinds


def compare(options: argparse.Namespace, old_folder: Path, new_folder: Path) -> bool:
    """Predict, compare and print; tell whether all differences are expected."""
    spellings = dict(each.split("=", 1) for each in options.spelling)
    old = Installation(options.old_python, None, {}, options.jobs)
    new = Installation(options.new_python, options.new_source, spellings, options.jobs)
    for name, installation in (("old", old), ("new", new)):
        print(f"{name}: triaffect", *installation.describe())
    source = hash_files(old.describe()[1])
    if source == hash_files(new.describe()[1]):
        print("both have the same source")
    limits = {"clips": options.clips, "stills": options.stills, "sounds": options.sounds}
    kinds = {*prepare_inputs(options.inputs, old_folder, limits)} & {*options.kinds}
    report = Report(EXPECTED, options.all)
    report.print_heading()
    for variant in options.variants:
        for kind in VARIANTS[variant].kinds:
            if kind not in kinds:
                continue
            before = predict_or_reuse(old, source, kind, variant, old_folder)
            after = new_folder / before.relative_to(old_folder)
            new.predict(kind, variant, old_folder / "inputs", after)
            for table, result in compare_folders(before, after):
                report.add(kind, variant, table, result)
    report.print_differences()
    return not report.counts[UNEXPLAINED]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("old_python", type=Path, help="interpreter of the old installation")
    add("new_python", type=Path, help="interpreter of the new installation")
    add("inputs", type=Path, nargs="*", help="clips, stills, sounds, or folders of them")
    add("--old-tables", type=Path, help="keep inputs and old tables here, and use them again")
    add("--new-tables", type=Path, help="keep the new tables here")
    add("--new-source", type=Path, help="PYTHONPATH of the new installation")
    add("--spelling", action="append", default=[], metavar="OLD=NEW", help="of the new one")
    add("--clips", type=int, default=20, help="at most so many, spread evenly")
    add("--stills", type=int, default=60, help="at most so many, spread evenly")
    add("--sounds", type=int, default=12, help="at most so many, spread evenly")
    add("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="only these inputs")
    add("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="only these")
    add("--jobs", type=int, help="processes of a prediction")
    add("--all", action="store_true", help="print every difference")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        old_tables = options.old_tables or Path(temporary) / "old"
        new_tables = options.new_tables or Path(temporary) / "new"
        equal = compare(options, old_tables, new_tables)
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()

"""Where a face model is wrong, to look at: python benchmarks/failures.py KIND DATA OUT.png.

    python benchmarks/failures.py expressions shared/data/ferplus ../failures.png
    python benchmarks/failures.py units shared/data ../units.png

*expressions*: a sheet of FER+'s ``PublicTest``, of images with a strict majority: for each of the
commonest confusions the mistakes that the model is surest of, and for each class the right answers
that it is least sure of. Under a face: what was said and its probability; the probability of what
was right, where that is another; and the votes, by the first two letters of what they are for (?
unknown, x not a face).

*units*: for each action unit those of LFW's test people of whom the model says more than the
programs that it learned from, and less, by the difference of z-scores; see `score_real_faces.py`.
Under a face: both z-scores.

**To look at, never to commit**: these are faces of people who were not asked. Nothing is written
inside the repository.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from in_memory import DEFAULT
from numpy.typing import NDArray
from score_ferplus import BATCH, TEST, answers_of, crops_of, majority, rows_of
from score_real_faces import (
    TEST_SHARE,
    is_test,
    logits,
    predict,
    teachers_mean,
    teachers_scores,
)

import triaffect
from triaffect.corpora.ferplus import read_arrays
from triaffect.errors import TriaffectError
from triaffect.features.extraction_worker import batches
from triaffect.media.probe import read_image
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSIONS

ROOT = Path(__file__).resolve().parents[1]
FACE_PX, TILE_W, TILE_H, ACROSS, HEADING_H = 96, 120, 142, 12, 30
SHOWN = 24
SHORT = {"unknown": "?", "NF": "x"}
WHITE, BLACK, GRAY = (255, 255, 255), (20, 20, 20), (110, 110, 110)

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class ScoredFaces:
    """Images, what they show and what was said.

    Attributes:
        images: Gray, shape (N, 48, 48).
        votes: Shape (N, 10).
        columns: What the votes are for.
        truth: Classes, shape (N,).
        answers: Probabilities, shape (N, 8).
    """

    images: Picture
    votes: NDArray[np.int64]
    columns: list[str]
    truth: NDArray[np.int64]
    answers: NDArray[np.floating]

    @property
    def said(self) -> NDArray[np.int64]:
        """The likeliest class, shape (N,)."""
        return self.answers.argmax(1)


def ask(path: Path, model: str) -> ScoredFaces:
    """What a model says of every image that has a strict majority."""
    arrays = read_arrays(path / "ferplus.npz" if path.is_dir() else path)
    columns = [str(each) for each in arrays.vote_columns]
    rows = rows_of(path, arrays, TEST)
    truth = majority(arrays.votes[rows].astype(np.int64), columns)
    rows, truth, answer = rows[truth >= 0], truth[truth >= 0], answers_of(model)
    groups = batches(arrays.images[rows], BATCH)
    answers = np.concatenate([answer(crops_of(np.stack(each))) for each in groups])
    return ScoredFaces(arrays.images[rows], arrays.votes[rows].astype(int), columns, truth, answers)


@dataclass(frozen=True)
class Tile:
    """A face and up to three lines under it.

    Attributes:
        face: RGB or gray.
        lines: The second is written in gray.
    """

    face: Picture
    lines: tuple[str, str, str]


def expression_sections(scored: ScoredFaces, pairs: int) -> Iterator[tuple[str, list[Tile]]]:
    """A heading, and the tiles to show under it."""
    for heading, rows in chosen_rows(scored, pairs):
        tiles = [Tile(scored.images[row], caption(scored, int(row))) for row in rows]
        yield heading, tiles


def unit_sections(model: str, data: Path) -> Iterator[tuple[str, list[Tile]]]:
    """A heading for each unit and direction, and the faces of which the programs say otherwise."""
    labels = pd.read_csv(data / "faces" / "lfw" / "labels.csv")
    people = labels["person"].to_numpy(str)
    labels = labels[[is_test(person, TEST_SHARE["lfw"]) for person in people]]
    clips, folder = labels["clip"].tolist(), data / "faces" / "lfw"
    predictor = triaffect.load(None if model == DEFAULT else model)
    table, programs = predict(predictor, folder, clips), teachers_scores(data, "lfw", clips)
    truth = teachers_mean(programs)
    for unit in ACTION_UNITS.columns:
        said, right = logits(table, unit), truth[unit].to_numpy()
        said = (said - np.nanmean(said)) / np.nanstd(said)
        apart = np.nan_to_num(said - right)
        for word, order in (("more", np.argsort(-apart)), ("less", np.argsort(apart))):
            tiles = []
            for row in order[:ACROSS]:
                face = np.asarray(read_image(folder / clips[row]))
                lines = f"model {said[row]:+.1f}", f"programs {right[row]:+.1f}", ""
                tiles.append(Tile(face, lines))
            yield f"{unit}: the model says {word} than the programs", tiles


def chosen_rows(scored: ScoredFaces, pairs: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """A heading, and the rows to show under it."""
    said, truth = scored.said, scored.truth
    surest = scored.answers.max(1)
    wrong = Counter(zip(truth[truth != said], said[truth != said], strict=True))
    for (shows, says), count in wrong.most_common(pairs):
        rows = np.flatnonzero((truth == shows) & (said == says))
        heading = f"{EXPRESSIONS[shows]}, taken for {EXPRESSIONS[says]}: the surest of {count}"
        yield heading, rows[np.argsort(-surest[rows], kind="stable")][:SHOWN]
    for shows, name in enumerate(EXPRESSIONS):
        rows = np.flatnonzero((truth == shows) & (said == shows))
        if len(rows):
            heading = f"{name}, rightly: the least sure of {len(rows)}"
            yield heading, rows[np.argsort(surest[rows], kind="stable")][:SHOWN]


def caption(scored: ScoredFaces, row: int) -> tuple[str, str, str]:
    """Three lines to go under a face."""
    said, truth, answer = int(scored.said[row]), int(scored.truth[row]), scored.answers[row]
    other = "" if said == truth else f"{EXPRESSIONS[truth]} {answer[truth]:.2f}"
    return f"{EXPRESSIONS[said]} {answer[said]:.2f}", other, votes_in_words(scored, row)


def votes_in_words(scored: ScoredFaces, row: int) -> str:
    """The votes, most first, as in ``7ha 2ne 1?``."""
    order = np.argsort(-scored.votes[row], kind="stable")
    names = [(int(scored.votes[row, k]), scored.columns[k]) for k in order]
    return " ".join(f"{count}{SHORT.get(name, name[:2])}" for count, name in names if count)


def sheet(sections: Iterator[tuple[str, list[Tile]]]) -> Picture:
    """All sections, one below the other."""
    parts = []
    for heading, tiles in sections:
        strip = np.full((HEADING_H, ACROSS * TILE_W, 3), WHITE, np.uint8)
        parts.append(_write(strip, heading, (6, 22), 0.6))
        for start in range(0, len(tiles), ACROSS):
            strip = np.full((TILE_H, ACROSS * TILE_W, 3), WHITE, np.uint8)
            for k, tile in enumerate(tiles[start : start + ACROSS]):
                strip[:, k * TILE_W : (k + 1) * TILE_W] = _drawn(tile)
            parts.append(strip)
    return np.concatenate(parts)


def _drawn(tile: Tile) -> Picture:
    drawn = np.full((TILE_H, TILE_W, 3), WHITE, np.uint8)
    large = cv2.resize(tile.face, (FACE_PX, FACE_PX), interpolation=cv2.INTER_CUBIC)
    face = large[:, :, None] if large.ndim == 2 else large[:, :, ::-1]
    drawn[2 : FACE_PX + 2, 2 : FACE_PX + 2] = face
    for k, (line, color) in enumerate(zip(tile.lines, (BLACK, GRAY, BLACK), strict=True)):
        _write(drawn, line, (2, FACE_PX + 14 + 13 * k), 0.36, color)
    return drawn


def _write(
    picture: Picture,
    words: str,
    at: tuple[int, int],
    size: float,
    color: tuple[int, int, int] = BLACK,
) -> Picture:
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, color, 1, cv2.LINE_AA)
    return picture


def place(path: Path) -> Path:
    """Where the sheet may be written.

    Raises:
        SystemExit: Inside the repository, or not as a PNG file.
    """
    if path.resolve().is_relative_to(ROOT):
        raise SystemExit(f"{path}: expected a place outside {ROOT}, as no face may be committed")
    if path.suffix.lower() != ".png":
        raise SystemExit(f"{path}: expected a .png file")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("expressions", "units"))
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--pairs", type=int, default=12, help="confusions to show")
    arguments = parser.parse_args()
    out = place(arguments.out)
    try:
        if arguments.kind == "units":
            drawn = sheet(unit_sections(arguments.model, arguments.data))
        else:
            scored = ask(arguments.data, arguments.model)
            print(f"{len(scored.truth):,} images, {(scored.said == scored.truth).mean():.3f} right")
            drawn = sheet(expression_sections(scored, arguments.pairs))
    except TriaffectError as error:
        raise SystemExit(str(error)) from error
    if not cv2.imwrite(str(out), drawn):
        raise SystemExit(f"{out}: cannot be written")


if __name__ == "__main__":
    main()

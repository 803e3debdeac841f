"""The folder of a training run, and its journal."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from triaffect.errors import RunError
from triaffect.io.atomic import (
    LOCK,
    disk_errors,
    lock_folder,
    make_folder,
    replace_file,
    sync_folder,
    temporary_path,
    write_json,
)
from triaffect.recipes.config import Recipe
from triaffect.recipes.load import recipe_hash
from triaffect.training.device import PROCESSOR
from triaffect.training.view import LeakChoice
from triaffect.version import __version__

Listener = Callable[[dict[str, Any]], None]


class Journal:
    """Append-only JSON lines.

    Args:
        path: File to append to; made when first written.
        listener: Told of every line as it is written.
    """

    def __init__(self, path: Path, listener: Listener | None = None) -> None:
        self._path, self._listener = path, listener

    def write(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - anything JSON can say
        """Add one line with its event's name first, and wait until it is on the disk.

        Raises:
            DiskError: It cannot be written; `cut` takes away what was.
        """
        line = json.dumps({"event": event, **fields}, separators=(",", ":"))
        with disk_errors(self._path):
            is_first = not self.size()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
            if is_first:
                sync_folder(self._path.parent)
        if self._listener:
            self._listener({"event": event, **fields})

    def size(self) -> int:
        """Bytes written so far."""
        return self._path.stat().st_size if self._path.exists() else 0

    def cut(self, size: int) -> None:
        """Forget what was written after ``size`` bytes; a resumed run writes it again."""
        if self.size() > size:
            with disk_errors(self._path), self._path.open("r+b") as file:
                file.truncate(size)


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a journal; a last line cut off by a kill is left out."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


FORMAT = 1


@dataclass(frozen=True)
class Initial:
    """Trained weights to start from.

    Attributes:
        path: Their safetensors file.
        sha256: Its hash.
        thresholds: What the model had set; they hold where the run sets none.
    """

    path: Path
    sha256: str
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ExternalTeacher:
    """The last stage of a finished run.

    Attributes:
        recipe: What it trained.
        weights: Safetensors file of that stage's best weights.
        sha256: Its hash.
    """

    recipe: Recipe
    weights: Path
    sha256: str


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of a run.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def about(self) -> Path:
        """Recipe, seed, version and data fingerprint, as JSON."""
        return self.root / "run.json"

    @property
    def journal(self) -> Path:
        """What happened, as JSON lines."""
        return self.root / "journal.jsonl"

    @property
    def checkpoint(self) -> Path:
        """Everything needed to go on, as safetensors."""
        return self.root / "checkpoint.safetensors"

    @property
    def initial(self) -> Path:
        """The weights that every stage starts from, if the run was given any."""
        return self.root / "initial.safetensors"

    @property
    def teachers(self) -> Path:
        """Weights of the finished runs that teach, if the run was given any."""
        return self.root / "teachers"

    def teacher(self, number: int) -> Path:
        """Weights of one of them."""
        return self.teachers / f"{number}.safetensors"

    @property
    def scores(self) -> Path:
        """Scores of every stage, as JSON."""
        return self.root / "scores.json"

    @property
    def model(self) -> Path:
        """The exported model folder of the last stage."""
        return self.root / "model"

    def weights(self, stage: str, which: str) -> Path:
        """Weights of a stage; ``which`` is ``best`` or ``last``."""
        return self.root / "stages" / stage / f"{which}.safetensors"

    def thresholds(self, stage: str) -> Path:
        """From which probability on columns count as present, as JSON, if a stage has set it."""
        return self.root / "stages" / stage / "thresholds.json"


@contextmanager
def exclusive_lock(root: Path) -> Iterator[None]:
    """Keep every other process from writing to a run folder; it is made if it is missing.

    Raises:
        RunError: Another process writes to it, or it is no place for a run.
        DiskError: It cannot be written to.
    """
    _check_place(RunFolder(root))
    make_folder(root)
    in_use = RunError(
        "a run folder that nobody is writing to", "one in use",
        "wait for the other process, or choose another --out", where=root,
    )  # fmt: skip
    with lock_folder(root, in_use):
        yield


def begin(
    root: Path,
    recipe: Recipe,
    seed: int,
    data: str,
    resume: bool,
    initial: Initial | None = None,
    leaks: LeakChoice = LeakChoice.REFUSE,
    device: str = PROCESSOR,
    teachers: Sequence[ExternalTeacher] = (),
) -> RunFolder:
    """Begin a run in its folder, or check that the one that is there can go on.

    Args:
        root: The folder; the caller has it `alone`.
        recipe: What is trained.
        seed: Of everything random.
        data: Fingerprint of the store.
        resume: Go on with a run that is there.
        initial: Weights to start from; the run keeps a copy.
        leaks: What to do about people and videos in several splits.
        device: Name of the device that computes.
        teachers: Finished runs to learn from; the run keeps a copy of their weights.

    Raises:
        RunError: The folder holds a run and ``resume`` is off, or it holds another recipe,
            seed, data, initial weights, teachers, choice about leaks or device.
    """
    folder = RunFolder(root)
    about = {
        "format": FORMAT,
        "triaffect": __version__,
        "recipe_hash": recipe_hash(recipe),
        "seed": seed,
        "data": data,
        "initial": initial and initial.sha256,
        "initial_thresholds": dict(initial.thresholds) if initial else {},
        "leaks": leaks,
        "device": device,
        "teachers": [one.sha256 for one in teachers],
    }
    if folder.about.exists():
        if not resume:
            raise RunError("a new run folder", "one with a run", "add --resume", where=root)
        _check_same(read_about(root), about, root)
        return folder
    if initial is not None:
        with replace_file(folder.initial) as aside:
            shutil.copyfile(initial.path, aside)
    else:
        with disk_errors(folder.initial):
            folder.initial.unlink(missing_ok=True)  # of another start, killed before its run.json
    _keep_teachers(folder, teachers)
    recipes = {
        "recipe": recipe.model_dump(mode="json"),
        "teachers_recipes": [one.recipe.model_dump(mode="json") for one in teachers],
    }
    write_json(folder.about, {**about, **recipes})
    return folder


def _keep_teachers(folder: RunFolder, teachers: Sequence[ExternalTeacher]) -> None:
    """Copy their weights, in place of any of another start that was killed before its run.json."""
    with disk_errors(folder.teachers):
        shutil.rmtree(folder.teachers, ignore_errors=True)
    for number, teacher in enumerate(teachers):
        make_folder(folder.teachers)
        with replace_file(folder.teacher(number)) as aside:
            shutil.copyfile(teacher.weights, aside)


def leaks_of(root: Path, resume: bool) -> LeakChoice:
    """What a run was told to do about leaks; to refuse them where none is resumed.

    Args:
        root: The run folder, or where it will be.
        resume: Whether to go on with the run that is there.

    Raises:
        RunError: Its ``run.json`` is damaged.
    """
    if not (resume and RunFolder(root).about.exists()):
        return LeakChoice.REFUSE
    begun = read_about(root).get("leaks")
    try:
        return LeakChoice(str(begun))
    except ValueError:
        known = " or ".join(LeakChoice)
        raise RunError(f"leaks: {known} in run.json", repr(begun), where=root) from None


def read_about(root: Path) -> dict[str, Any]:
    """Contents of ``run.json``.

    Raises:
        RunError: No run folder, or a damaged one.
    """
    try:
        about = json.loads(RunFolder(root).about.read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise RunError(f"run format {FORMAT}", str(about["format"]), where=root)
    except OSError:
        raise RunError(
            "a run folder with run.json", "none", "train first, or check the path", where=root
        ) from None
    except (ValueError, KeyError, TypeError):
        raise RunError("a whole run.json", "a damaged one", "train again", where=root) from None
    return dict(about)


def read_recipe(root: Path) -> Recipe:
    """The resolved recipe of a run.

    Raises:
        RunError: No run folder, or a recipe that this version does not know.
    """
    try:
        return Recipe.model_validate(read_about(root)["recipe"])
    except (ValidationError, KeyError) as error:
        raise RunError("the run's recipe", str(error)[:100], where=root) from None


def recipes_of_teachers(root: Path) -> list[Recipe]:
    """The recipes of the finished runs that teach a run.

    Raises:
        RunError: No run folder, or a recipe that this version does not know.
    """
    try:
        return [Recipe.model_validate(one) for one in read_about(root)["teachers_recipes"]]
    except (ValidationError, KeyError) as error:
        raise RunError("the recipes of the run's teachers", str(error)[:100], where=root) from None


def is_finished(root: Path) -> bool:
    """Whether a run came to its end."""
    return RunFolder(root).scores.is_file()


def _check_place(folder: RunFolder) -> None:
    """See that a folder holds a run, or nothing but what a start leaves that was killed."""
    if folder.root.is_file():
        raise RunError("a folder for the run", "a file", "choose another --out", where=folder.root)
    if not folder.root.is_dir() or folder.about.exists():
        return
    started = {folder.root / LOCK, folder.initial, temporary_path(folder.initial)}
    started |= {folder.teachers, temporary_path(folder.about)}
    if not started.issuperset(folder.root.iterdir()):
        raise RunError("a new or empty run folder", "one with other files", where=folder.root)


def _check_same(old: dict[str, Any], new: dict[str, Any], root: Path) -> None:
    old = {"device": PROCESSOR, "teachers": [], **old}  # older runs had no others, and do not say
    for key in ("recipe_hash", "seed", "data", "initial", "teachers", "leaks", "device"):
        if old.get(key) != new[key]:
            raise RunError(
                f"the run's own {key} {old.get(key)!s:.16}",
                f"{new[key]!s:.16}",
                "resume with what it was begun with, or choose another --out",
                where=root,
            )

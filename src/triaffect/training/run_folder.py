"""The folder of a training run: its files, its description, its journal, and its lock."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from torch import nn

from triaffect.errors import ModelError, RunError
from triaffect.features.extractors.registry import DEFAULT, SHIPPED
from triaffect.features.model_folder import Blank, file_hash, load_model_folder
from triaffect.features.store import FeatureStore, check_networks
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
from triaffect.io.plugins import Plugin
from triaffect.models.base import find_network, load_weights, network_plugin
from triaffect.recipes.config import Recipe
from triaffect.recipes.load import parse_recipe, recipe_hash
from triaffect.tasks.registry import load_task, resolve_tasks, task_plugins
from triaffect.training.device import CPU
from triaffect.training.view import LeakChoice
from triaffect.types import Split
from triaffect.version import __version__

PoolScores = dict[str, dict[str, float]]
"""Official scores by pool and by name."""


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LeaksDetected(_Event):
    """People and videos occur in several splits.

    Attributes:
        choice: What was done about it.
        people: Splits of each such person.
        videos: Splits of each such video.
        left_out: Rows of each split that were left out.
    """

    event: Literal["leaks"] = "leaks"
    choice: LeakChoice
    people: dict[str, list[str]]
    videos: dict[str, list[str]]
    left_out: dict[str, int]


class StageStarted(_Event):
    """A stage begins with trained weights.

    Attributes:
        stage: Its name.
        held_out: Scores of those weights on held-out people, if epochs are chosen on them.
        validation: Their scores on validation.
    """

    event: Literal["start"] = "start"
    stage: str
    held_out: PoolScores | None = None
    validation: PoolScores


class EpochEnded(_Event):
    """An epoch was trained and scored.

    Attributes:
        stage: Name of the stage.
        epoch: Number of the epoch, from 0.
        losses: Mean of each term of the loss over the epoch.
        held_out: Scores on held-out people, if epochs are chosen on them.
        validation: Scores on validation.
        task_weights: Weights of the tasks in the next epoch.
        best: Whether it is the best epoch so far.
        seconds: How long it took, scoring included.
        processor_seconds: Of the processor, likewise, of all threads.
        updates: How often the optimizer moved the network.
        peak_mb: The most main memory that the process has had in the stage so far.
    """

    event: Literal["epoch"] = "epoch"
    stage: str
    epoch: int
    losses: dict[str, float]
    held_out: PoolScores | None = None
    validation: PoolScores
    task_weights: dict[str, float]
    best: bool
    seconds: float
    processor_seconds: float | None = None
    updates: int | None = None
    peak_mb: float | None = None


class NoGain(_Event):
    """No epoch of a stage was better than the weights that it began with.

    Attributes:
        stage: Its name.
        split: The rows that epochs were chosen on: "held out", "validation" or "test".
        rows: How many they are.
        decides: Whether any of their labels differ; else every epoch scores the same.
    """

    event: Literal["no_gain"] = "no_gain"
    stage: str
    split: str = str(Split.VALIDATION)
    rows: int = 0
    decides: bool = True

    def __str__(self) -> str:
        """In words: on what no epoch was better, and whether one could have been."""
        people = "people held out from training" if self.split == Split.HELD_OUT else self.split
        weights = "its weights are those that training began with"
        if self.decides:
            return f"{self.stage}: no epoch beat the start on {people}; {weights}"
        rows = f"{self.rows} rows" if self.rows != 1 else "1 row"
        return (
            f"{self.stage}: no epoch could beat the start, as no label differs between the rows it "
            f"is chosen on, those of {people} ({rows}); {weights}; extract more people"
        )


class NothingToChooseBy(_Event):
    """No label differs between the rows that a stage's epochs are chosen on; the last is taken.

    Attributes:
        stage: Its name.
        split: The rows: "held out", "validation" or "test".
        rows: How many they are.
    """

    event: Literal["nothing_to_choose_by"] = "nothing_to_choose_by"
    stage: str
    split: str
    rows: int

    def __str__(self) -> str:
        """In words: what is taken, and why."""
        return (
            f"{self.stage}: its last epoch is taken, as no label differs between the rows that "
            f"epochs are chosen on ({self.split}, {self.rows}); extract more people"
        )


class NothingToLearn(_Event):
    """Some outputs have no labels to be learned from.

    Attributes:
        columns: Outputs that the model leaves blank.
        initial: Outputs that it answers as the weights that training began with let it.
    """

    event: Literal["nothing_to_learn"] = "nothing_to_learn"
    columns: list[str]
    initial: list[str] = []


JournalEvent = Annotated[
    LeaksDetected | NothingToLearn | StageStarted | EpochEnded | NoGain | NothingToChooseBy,
    Field(discriminator="event"),
]
"""One line of a journal."""

_EVENTS: TypeAdapter[JournalEvent] = TypeAdapter(JournalEvent)

EventListener = Callable[[JournalEvent], None]


class Journal:
    """Append-only JSON lines.

    Args:
        path: File to append to; made when first written.
        listener: Called with every event as it is written.
    """

    def __init__(self, path: Path, listener: EventListener | None = None) -> None:
        self._path, self._listener = path, listener

    def write(self, event: JournalEvent) -> None:
        """Add one line, and wait until it is on the disk.

        Args:
            event: The event; fields without a value are left out.

        Raises:
            DiskError: It cannot be written; `cut` takes away what was.
        """
        with disk_errors(self._path):
            is_first = not self.size()
            with self._path.open("a", encoding="utf-8") as file:
                fields = event.model_dump(exclude_none=True)
                file.write(json.dumps(fields, separators=(",", ":")) + "\n")
                file.flush()
                os.fsync(file.fileno())
            if is_first:
                sync_folder(self._path.parent)
        if self._listener:
            self._listener(event)

    def size(self) -> int:
        """Count the bytes written so far."""
        return self._path.stat().st_size if self._path.exists() else 0

    def cut(self, size: int) -> None:
        """Remove what was written after a checkpoint; a resumed run writes it again.

        Args:
            size: Bytes that stay.

        Raises:
            DiskError: It cannot be changed.
        """
        if self.size() > size:
            with disk_errors(self._path), self._path.open("r+b") as file:
                file.truncate(size)


def read_journal(path: Path) -> Iterator[JournalEvent]:
    """Yield the events of a journal; a last line cut off by a kill is left out.

    Args:
        path: The journal.

    Yields:
        Its events in the order in which they were written.

    Raises:
        RunError: A line is damaged, or of another version.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                return
            try:
                yield _EVENTS.validate_python(json.loads(line))
            except ValueError as error:
                got = " ".join(str(error).split())[:100]
                remedy = "use the version of triaffect that wrote it"
                where = f"{path}:{number}"
                raise RunError("a line of a journal", got, remedy, where=where) from None


@dataclass(frozen=True)
class InitialWeights:
    """Trained weights to start from.

    Attributes:
        path: Their safetensors file.
        sha256: Its hash.
        thresholds: Thresholds of the model; they hold where the run sets none.
        blank: Outputs that the model leaves blank, and where: "always", "without voice" or
            "without face".
    """

    path: Path
    sha256: str
    thresholds: Mapping[str, float] = field(default_factory=dict)
    blank: Mapping[str, Blank] = field(default_factory=dict)


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


class RunFolder:
    """Names of the files of a run; any of them may be missing.

    Args:
        root: The folder.

    Attributes:
        root: As given.
        description: Recipe, seed, version and data fingerprint, as JSON; see `RunDescription`.
        journal: Events as JSON lines; see `JournalEvent`.
        checkpoint: Everything needed to go on, as safetensors.
        initial: The weights that every stage starts from, if it starts from trained ones.
        teachers: Folder of the weights of the finished runs that teach, if any do.
        scores: Scores of every stage, as JSON; written last.
        model: The exported model folder of the last stage.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.description, self.journal = root / "run.json", root / "journal.jsonl"
        self.checkpoint = root / "checkpoint.safetensors"
        self.initial, self.teachers = root / "initial.safetensors", root / "teachers"
        self.scores, self.model = root / "scores.json", root / "model"

    def teacher(self, number: int) -> Path:
        """Return the path of the weights of a teacher, counted from 0."""
        return self.teachers / f"{number}.safetensors"

    def weights(self, stage: str, which: str) -> Path:
        """Return the path of the weights of a stage.

        >>> RunFolder(Path("run")).weights("student", "best").as_posix()
        'run/stages/student/best.safetensors'

        Args:
            stage: Name of the stage.
            which: "best" or "last".
        """
        return self.root / "stages" / stage / f"{which}.safetensors"

    def load_weights(self, net: nn.Module, stage: str, which: str) -> None:
        """Fill a network with a stage's weights.

        Args:
            net: A network of that stage.
            stage: Name of the stage.
            which: "best" or "last".

        Raises:
            RunError: The run has no such weights yet.
            ModelError: They are another network's.
        """
        path = self.weights(stage, which)
        if not path.is_file():
            raise RunError(f"weights of the stage {stage}", "none", "finish the run", where=path)
        load_weights(net, path)

    def thresholds(self, stage: str) -> Path:
        """Return the path of a stage's thresholds, as JSON; it is missing if it has set none."""
        return self.root / "stages" / stage / "thresholds.json"


class RunDescription(BaseModel):
    """Contents of ``run.json``: what a run is, and what it needs.

    Attributes:
        format: Version of this description.
        triaffect: Version that began the run.
        recipe_hash: Hash of the resolved recipe.
        seed: Seed of the run.
        data: Fingerprint of the store.
        initial: Hash of the weights to start from.
        initial_thresholds: Thresholds of the model they come from.
        unlearned: Outputs that neither labels nor initial weights nor teachers teach.
        left_blank: Outputs that labels do not teach, and that the initial model leaves blank
            without a voice or without a face.
        leaks: What was done about people and videos in several splits.
        device: Name of the device that computes.
        teachers: Hashes of the external teachers' weights.
        plugins: Tasks and network of other packages, by their names in the recipe.
        recipe: The resolved recipe.
        teachers_recipes: Recipes of the external teachers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    triaffect: str
    recipe_hash: str
    seed: int
    data: str
    initial: str | None = None
    initial_thresholds: dict[str, float] = {}
    unlearned: tuple[str, ...] = ()
    left_blank: dict[str, Blank] = {}
    leaks: LeakChoice = LeakChoice.REFUSE
    device: str = CPU.name  # older runs had no other, and do not say
    teachers: tuple[str, ...] = ()
    plugins: dict[str, Plugin] = {}
    recipe: Recipe
    teachers_recipes: tuple[Recipe, ...] = ()


def read_description(root: Path) -> RunDescription:
    """Read ``run.json``, and load the plug-ins that the run needs.

    Args:
        root: The run folder.

    Returns:
        What the run is; what older versions did not write has its default.

    Raises:
        RunError: No run folder, a damaged one, or one of another version.
        RecipeError: Its recipe has a key that this version does not know; the message names the
            nearest valid one.
        PluginError: A task or network of another package is missing or fails on import.
    """
    path = RunFolder(root).description
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, own = content["format"], content["recipe"]
        teachers = content.get("teachers_recipes", [])  # older runs had none, and do not say
    except OSError:
        raise RunError(
            "a run folder with run.json", "none", "train first, or check the path", where=root
        ) from None
    except (ValueError, KeyError, TypeError):
        raise RunError("a whole run.json", "a damaged one", "train again", where=root) from None
    if version != 1:
        remedy = "use the version of triaffect that wrote it"
        raise RunError("run format 1", str(version), remedy, where=root)
    _load_plugins(content.get("plugins", {}), [own, *teachers])
    recipes = [parse_recipe(tree, str(path)) for tree in (own, *teachers)]
    try:
        return RunDescription.model_validate(
            {**content, "recipe": recipes[0], "teachers_recipes": recipes[1:]}
        )
    except ValidationError as error:
        first = error.errors()[0]
        key, got = ".".join(map(str, first["loc"])), f"{first['input']!r:.80}"
        raise RunError(f"a valid {key} in run.json", got, str(first["msg"]), where=root) from None


def _load_plugins(plugins: dict[str, dict[str, str]], recipes: Sequence[dict[str, Any]]) -> None:
    """Load plug-ins by what a run says of them, which names the package to install."""
    kinds = {tree.get("net", {}).get("kind") for tree in recipes}
    for name, entry in plugins.items():
        plugin = Plugin(**entry)
        if name in kinds:
            plugin.load(f"network {name.rpartition(':')[2]}")
        else:
            load_task(plugin, name)


def read_recipe(root: Path) -> Recipe:
    """Read the resolved recipe of a run; raises as `read_description` does.

    Args:
        root: The run folder.
    """
    return read_description(root).recipe


def is_finished(root: Path) -> bool:
    """Tell whether a run came to its end.

    Args:
        root: The run folder; it need not exist.
    """
    return RunFolder(root).scores.is_file()


def stored_leak_choice(root: Path, resume: bool) -> LeakChoice:
    """Return what a run does about leaks; to refuse them where none is resumed.

    Args:
        root: The run folder, or where it will be.
        resume: Whether to go on with the run that is there.

    Returns:
        The choice that the run was begun with.

    Raises:
        RunError: Its ``run.json`` is damaged.
    """
    if resume and RunFolder(root).description.exists():
        return read_description(root).leaks
    return LeakChoice.REFUSE


@contextmanager
def exclusive_lock(root: Path) -> Iterator[None]:
    """Keep every other process from writing to a run folder; it is made if it is missing.

    Args:
        root: The run folder, new, empty, or left by a start that was killed.

    Raises:
        RunError: Another process writes to it, or it holds something else than a run.
        DiskError: It cannot be written to.
    """
    folder = RunFolder(root)
    if root.is_file():
        raise RunError("a folder for the run", "a file", "choose another --output", where=root)
    if root.is_dir() and not folder.description.exists():
        started = {root / LOCK, folder.initial, temporary_path(folder.initial)}
        started |= {folder.teachers, temporary_path(folder.description)}
        if not started.issuperset(root.iterdir()):
            raise RunError("a new or empty run folder", "one with other files", where=root)
    make_folder(root)
    in_use = RunError(
        "a run folder that nobody is writing to", "one in use",
        "wait for the other process, or choose another --output", where=root,
    )  # fmt: skip
    with lock_folder(root, in_use):
        yield


def begin_run(
    root: Path,
    recipe: Recipe,
    seed: int,
    data: str,
    resume: bool,
    initial: InitialWeights | None = None,
    leaks: LeakChoice = LeakChoice.REFUSE,
    device: str = CPU.name,
    teachers: Sequence[ExternalTeacher] = (),
    blank: Mapping[str, Blank] = MappingProxyType({}),
) -> RunFolder:
    """Begin a run in its folder, or check that the one that is there can go on.

    Args:
        root: The folder; the caller holds its `exclusive_lock`.
        recipe: What is trained.
        seed: Of everything random.
        data: Fingerprint of the store.
        resume: Go on with a run that is there.
        initial: Weights to start from; the run gets a copy.
        leaks: What to do about people and videos in several splits.
        device: Name of the device that computes.
        teachers: Finished runs to learn from; the run gets a copy of their weights.
        blank: Outputs that nothing in the run teaches, and where they are blank.

    Returns:
        The folder, with ``run.json`` and the copies.

    Raises:
        RunError: The folder holds a run and ``resume`` is off, or it holds another recipe,
            seed, data, initial weights, teachers, choice about leaks or device.
    """
    folder = RunFolder(root)
    recipes = [recipe, *(teacher.recipe for teacher in teachers)]
    description = RunDescription(
        triaffect=__version__,
        recipe_hash=recipe_hash(recipe),
        seed=seed,
        data=data,
        initial=initial.sha256 if initial else None,
        initial_thresholds=dict(initial.thresholds) if initial else {},
        unlearned=tuple(name for name, where in blank.items() if where == "always"),
        left_blank={name: where for name, where in blank.items() if where != "always"},
        leaks=leaks,
        device=device,
        teachers=tuple(teacher.sha256 for teacher in teachers),
        plugins={name: plugin for each in recipes for name, plugin in _plugins_of(each)},
        recipe=recipe,
        teachers_recipes=tuple(recipes[1:]),
    )
    if folder.description.exists():
        if not resume:
            raise RunError("a new run folder", "one with a run", "add --resume", where=root)
        _check_same(read_description(root), description, root)
        return folder
    _copy_weights(folder, initial, teachers)
    write_json(folder.description, description.model_dump(mode="json"))
    return folder


def _plugins_of(recipe: Recipe) -> Iterator[tuple[str, Plugin]]:
    """Yield tasks and network of other packages, by their names in a recipe."""
    tasks = resolve_tasks(recipe.tasks)
    plugins = task_plugins(tasks)
    for name, task in zip(recipe.tasks, tasks, strict=True):
        if task.key in plugins:
            yield name, plugins[task.key]
    plugin = network_plugin(recipe.net.kind)
    if plugin is not None:
        yield recipe.net.kind, plugin


def _copy_weights(
    folder: RunFolder, initial: InitialWeights | None, teachers: Sequence[ExternalTeacher]
) -> None:
    """Copy initial and teachers' weights.

    They replace any of another start that was killed before its run.json.
    """
    if initial is not None:
        with replace_file(folder.initial) as temporary:
            shutil.copyfile(initial.path, temporary)
    else:
        with disk_errors(folder.initial):
            folder.initial.unlink(missing_ok=True)
    with disk_errors(folder.teachers):
        shutil.rmtree(folder.teachers, ignore_errors=True)
    for number, teacher in enumerate(teachers):
        make_folder(folder.teachers)
        with replace_file(folder.teacher(number)) as temporary:
            shutil.copyfile(teacher.weights, temporary)


def _check_same(old: RunDescription, new: RunDescription, root: Path) -> None:
    for key in ("recipe_hash", "seed", "data", "initial", "teachers", "leaks", "device"):
        before, now = getattr(old, key), getattr(new, key)
        if before != now:
            raise RunError(
                f"the run's own {key} {before!s:.16}",
                f"{now!s:.16}",
                "resume with what it was begun with, or choose another --output",
                where=root,
            )


TRAIN_WEIGHTS = "triaffect-train-weights"
"""The distribution that adds weights to train on to an installed package."""

_WEIGHT_FILES = {"crops": "face.safetensors", "logmel": "voice.safetensors"}
"""Files of a model folder with weights to train on, by the input of the recipe's network."""

_FUSION_WEIGHTS = "fusion.safetensors"


def find_initial_weights(name: str, recipe: Recipe, store: FeatureStore) -> InitialWeights:
    """Find the weights of a model and see that they fit.

    Args:
        name: "default" for the shipped model, a model folder, or a finished run.
        recipe: The recipe whose network they go into.
        store: What it will learn from.

    Returns:
        The weights and the model's thresholds.

    Raises:
        ModelError: There is no such model, or it lacks a network or weights for the recipe's.
        RunError: The model reads other windows than the recipe.
        StoreError: The store was made with other networks than the model's.
    """
    path = SHIPPED if name == DEFAULT else Path(name)
    if RunFolder(path).description.is_file():
        path = RunFolder(path).model
    if not path.is_dir():
        raise ModelError(f"{DEFAULT}, a model folder or a finished run", "nothing", where=path)
    model = load_model_folder(path)
    file = _WEIGHT_FILES.get(find_network(recipe.net.kind).input, _FUSION_WEIGHTS)
    if file == _FUSION_WEIGHTS:
        for part in ("face", "voice"):
            model.network(part)
        check_networks(model, store)
        fusion, window = model.manifest.fusion, recipe.data.window.in_seconds()
        if fusion is None or fusion.window != window:
            got = "none" if fusion is None else str(fusion.window)
            raise RunError(f"an initial model over the recipe's {window}", got, where=model.path)
    if path == SHIPPED and not (path / file).is_file():
        remedy = f"install {TRAIN_WEIGHTS}, or work in a checkout of the repository"
        raise ModelError("the shipped weights to train on", "an installation without", remedy)
    weights = model.file(file)
    outputs = model.manifest.outputs.items()
    blank = {name: each.blank for name, each in outputs if each.blank != "never"}
    return InitialWeights(weights, file_hash(weights), model.manifest.thresholds, blank)

"""Work that is really killed, and done again until it ends.

The work is done in a fork of a process that has loaded everything, so that a start costs
milliseconds; what kills it is SIGKILL, either from outside after some time, or by itself at
some operation on its files.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from safetensors import safe_open

from tests.features.made_corpus import MadeCorpus, write_pictures, write_sound
from tests.prediction.tiny_model import write_tiny_model
from tests.siblings.made import corpora_store
from tests.training.recipes import small
from tests.training.stores import made_store
from triaffect.errors import TriaffectError

Work = Callable[[Path], None]
"""Does everything that is missing in a folder; importable."""

RECIPE = ("default", "teacher.epochs=3", "student.epochs=3", "data.batch_size=32")
SEED = 4
COSTS = frozenset({"seconds", "processor_seconds", "peak_mb"})
"""What a line of a journal has that is another each time."""
OPERATIONS = frozenset(
    {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.copyfile"}
)
WARM = [
    "onnxruntime",
    "onnxscript",
    "tests.e2e.warm",
    "tests.e2e.kills",
    "triaffect.features.extraction",
    "triaffect.training.export",
    "triaffect.training.trainer",
]


def train_work(store: Path, folder: Path) -> None:
    """Both generations, scores and the model folder."""
    import torch  # noqa: PLC0415 - only the process that works needs it

    from triaffect.features.store import FeatureStore  # noqa: PLC0415
    from triaffect.training.export import export_run  # noqa: PLC0415
    from triaffect.training.trainer import train  # noqa: PLC0415

    torch.set_num_threads(1)
    opened = FeatureStore.open(store)
    recipe = small(*RECIPE)
    run = train(recipe, opened, folder, SEED, resume=True, checkpoint_every_s=0.02)
    export_run(run, opened)


def generations_work(name: str, store: Path, folder: Path) -> None:
    """A sibling system's generations of students, and their scores."""
    import torch  # noqa: PLC0415 - only the process that works needs it

    from tests.siblings.made import small as small_sibling  # noqa: PLC0415
    from triaffect.features.store import FeatureStore  # noqa: PLC0415
    from triaffect.training.trainer import train  # noqa: PLC0415

    torch.set_num_threads(1)
    recipe = small_sibling(name)
    opened = FeatureStore.open(store)
    train(recipe, opened, folder, SEED, resume=True, checkpoint_every_s=0.02)


def export_work(store: Path, folder: Path) -> None:
    """The model folder of a run that has been trained."""
    from triaffect.features.store import FeatureStore  # noqa: PLC0415
    from triaffect.training.export import export_run  # noqa: PLC0415
    from triaffect.training.run_folder import RunFolder  # noqa: PLC0415

    export_run(RunFolder(folder), FeatureStore.open(store))


def extract_work(corpus: MadeCorpus, networks: Path, workers: int, folder: Path) -> None:
    """A store of every source that can be read."""
    from triaffect.features import store_writer  # noqa: PLC0415
    from triaffect.features.extraction import extract  # noqa: PLC0415

    store_writer._COMMIT_EVERY_S = 0.1
    extract(corpus, folder, str(networks), str(networks), workers)


@dataclass
class Tally:
    """What became of the attempts.

    Attributes:
        by_time: Killed from outside.
        by_operation: Killed at an operation on files.
        rounds: How often the work was done to its end and compared.
        places: How many kills came before which part of the work was finished.
        wrong: What differed from work that was not interrupted, by round.
    """

    by_time: int = 0
    by_operation: int = 0
    rounds: int = 0
    places: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """Kills in all."""
        return self.by_time + self.by_operation


@dataclass(frozen=True)
class Whole:
    """Work that nobody interrupted.

    Attributes:
        content: What it left, see `contents`.
        seconds: How long it took.
        operations: How many operations on files it took.
    """

    content: dict[str, bytes]
    seconds: float
    operations: int


def warm_up() -> None:
    """Start the process that the others are forked from."""
    _start(_nothing, Path()).join()


def _nothing(folder: Path) -> None:
    del folder


def do_whole(work: Work, folder: Path) -> Whole:
    """Do work without any kill."""
    counted = folder.with_name(folder.name + ".operations")
    start = time.monotonic()
    _start(work, folder, counted=counted).join()
    seconds = time.monotonic() - start
    return Whole(contents(folder), seconds, int(counted.read_text()))


def do_killed(work: Work, root: Path, whole: Whole, kills: int, seed: int) -> Tally:
    """Do work in one folder after another until there were so many kills.

    Every other attempt is killed at an operation on files, the others after some time; the
    first that comes through is compared with the whole, and the next folder begun.
    """
    tally, rng, attempt = Tally(), random.Random(seed), 0
    folder = root / "0"
    while True:
        attempt += 1
        wanted, by_operation = tally.kills < kills, attempt % 2 == 0
        at = rng.randrange(whole.operations // 2) if wanted and by_operation else None
        process = _start(work, folder, at)
        if wanted and not by_operation:
            process.join(rng.uniform(0, 0.7 * whole.seconds))
            process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            tally.by_operation += by_operation
            tally.by_time += not by_operation
            tally.places[_place(folder)] += 1
            continue
        told = f"exit code {process.exitcode}" if process.exitcode else ""
        found = told or ", ".join(differences(whole.content, contents(folder)))
        tally.rounds += 1
        tally.wrong += [f"{folder}: {found}"] if found else []
        if not wanted or tally.wrong:
            return tally
        folder = root / str(tally.rounds)


def _place(folder: Path) -> str:
    """The first part of the work that is not finished."""
    made = {
        "run.json": "start",
        "stages/teacher/last.safetensors": "teacher",
        "stages/student/last.safetensors": "student",
        "scores.json": "scores",
        "model/model.json": "export",
    }
    if (folder / "extractors").exists() or not (folder / "run.json").exists():
        return "extraction or start"
    return next((part for name, part in made.items() if not (folder / name).exists()), "end")


def do_limited(work: Work, folder: Path, largest: int) -> str:
    """Do work where no file can be larger than so many bytes; what it says on stderr."""
    told = folder.with_name(folder.name + ".told")
    told.unlink(missing_ok=True)
    process = _start(work, folder, largest=largest, told=told)
    process.join()
    return f"{process.exitcode} {told.read_text() if told.exists() else ''}"


def kill_command(command: list[str], after_s: float) -> int | None:
    """Start a command and kill its process group; its exit code, None if it was killed."""
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _, told = process.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    assert process.returncode == 0, told.decode()
    return process.returncode


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every file by its path; of the journal, all but the costs."""
    found = {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }
    if "checkpoint.safetensors" in found:
        found["checkpoint.safetensors"] = _tensors(folder / "checkpoint.safetensors")
    if "journal.jsonl" in found:
        lines = [json.loads(line) for line in found["journal.jsonl"].splitlines()]
        kept = [{k: v for k, v in line.items() if k not in COSTS} for line in lines]
        found["journal.jsonl"] = json.dumps(kept).encode()
    return found


def _tensors(path: Path) -> bytes:
    """A checkpoint without the length of the journal, which holds seconds."""
    with safe_open(path, "np") as file:
        about = json.loads(file.metadata()["triaffect"])
        del about["progress"]["journal_bytes"]
        tensors = [(name, file.get_tensor(name).tobytes()) for name in sorted(file.keys())]
    return repr((about, tensors)).encode()


def differences(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Names of files that are missing, additional or of other content."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def made_train(root: Path) -> Work:
    """Training on a small store."""
    made_store(root / "store")
    return partial(train_work, root / "store")


def made_generations(name: str, root: Path) -> Work:
    """Training of a sibling system on a small store, of two corpora for one that needs them."""
    if name == "music2emo":
        corpora_store(root / "store")
    else:
        made_store(root / "store", videos=8, frames=40)
    return partial(generations_work, name, root / "store")


def made_extract(root: Path, sources: int = 12, workers: int = 1) -> Work:
    """Extraction of a small corpus, in which one source cannot be read."""
    names = [f"s{k:02}" for k in range(sources)]
    write_pictures(root / "corpus", names, count=6)
    for name in names[::2]:
        write_sound(root / "corpus" / f"{name}.wav", 2.0)
    corpus = MadeCorpus(root / "corpus", broken={names[2]: "labels"}, pause_s=0.02)
    return partial(extract_work, corpus, write_tiny_model(root / "networks"), workers)


def _start(work: Work, folder: Path, at: int | None = None, **more: Any) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(WARM)
    process = context.Process(target=_do, args=(work, folder, at), kwargs=more)
    process.start()
    return process


def _do(
    work: Work,
    folder: Path,
    at: int | None,
    counted: Path | None = None,
    largest: int | None = None,
    told: Path | None = None,
) -> None:
    seen = 0

    def look(event: str, args: tuple[object, ...]) -> None:
        nonlocal seen
        if event not in OPERATIONS or not str(args[0]).startswith(str(folder)):
            return
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    sys.addaudithook(look)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    try:
        work(folder)
    except TriaffectError as error:
        assert told is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        told.write_text(str(error))
        sys.exit(2)
    if counted is not None:
        counted.write_text(str(seen))


def started(is_cancelled: Callable[[], bool]) -> Callable[[int], int]:
    """Work of a pool whose first result is its process; the others come late."""

    def work(number: int) -> int:
        while number and not is_cancelled():
            time.sleep(60)
        return os.getpid()

    return work

"""Epochs go to a CSV, to TensorBoard's event files and to Weights & Biases as the journal has them.

No test reaches Weights & Biases: its library is a made one.
"""

import csv
import json
import sys
from types import SimpleNamespace

import pytest

from tests.training.recipes import small
from triaffect.errors import RunError
from triaffect.training.loggers import epoch_rows, open_loggers, parse_loggers
from triaffect.training.run_folder import EpochEnded, Journal, NoGain, begin_run

RECIPE = small("default")


def epoch(stage, number, **changes):
    fields = {"losses": {"MTL.VA": 0.5 / (number + 1)}, "validation": {"ALL": {"P_VA": 0.25}}}
    fields |= {"task_weights": {"VA": 1.0}, "best": number == 0, "seconds": 1.5}
    return EpochEnded(stage=stage, epoch=number, **fields | changes)


EVENTS = (
    epoch("teacher", 0),
    epoch("teacher", 1, held_out={"ALL": {"P_VA": 0.125}}),
    NoGain(stage="teacher"),
    epoch("student", 0, losses={"MTL.VA": 0.25, "MTL.soft": 2.0}),
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    return begin_run(tmp_path / "run", RECIPE, 0, "data", resume=False)


def write(folder, names, events=EVENTS):
    """Log what a training writes to its journal."""
    with open_loggers(names, folder) as listener:
        journal = Journal(folder.journal, listener)
        for event in events:
            journal.write(event)


def read_csv(folder):
    with (folder.root / "log" / "epochs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def scalars(folder):
    """What TensorBoard reads: (step, value) by name."""
    from tensorboard.backend.event_processing.event_accumulator import (  # noqa: PLC0415
        EventAccumulator,
    )

    reader = EventAccumulator(str(folder.root / "log" / "tensorboard"))
    reader.Reload()
    tags = reader.Tags()["scalars"]
    return {name: [(one.step, one.value) for one in reader.Scalars(name)] for name in tags}


def test_a_row_an_epoch_with_blank_cells_for_what_it_lacks(folder):
    write(folder, ["csv"])
    rows = read_csv(folder)
    assert [(row["step"], row["stage"], row["epoch"]) for row in rows] == [
        ("1", "teacher", "1"),
        ("2", "teacher", "2"),
        ("3", "student", "1"),
    ]
    assert [row["loss/MTL.VA"] for row in rows] == ["0.5", "0.25", "0.25"]
    assert [row["loss/MTL.soft"] for row in rows] == ["", "", "2.0"]
    assert [row["held_out/ALL.P_VA"] for row in rows] == ["", "0.125", ""]
    assert [row["best"] for row in rows] == ["True", "False", "True"]
    assert rows[0]["task_weight/VA"] == "1.0"


def test_a_resumed_run_takes_back_what_its_journal_does(folder):
    write(folder, ["csv", "tensorboard"])
    size = len("".join(folder.journal.read_text().splitlines(keepends=True)[:1]))
    with open_loggers(["csv", "tensorboard"], folder) as listener:
        journal = Journal(folder.journal, listener)
        journal.cut(size)
        journal.write(epoch("teacher", 1, validation={"ALL": {"P_VA": 0.75}}))
    assert [row["validation/ALL.P_VA"] for row in read_csv(folder)] == ["0.25", "0.75"]
    assert scalars(folder)["teacher/validation/ALL.P_VA"] == [(1, 0.25), (2, 0.75)]


def test_event_files_hold_what_the_journal_does(folder):
    write(folder, ["tensorboard"])
    found = scalars(folder)
    expected = {}
    for row in epoch_rows(folder.journal):
        for name, value in row.items():
            if name not in ("step", "stage", "epoch", "best"):
                expected.setdefault(f"{row['stage']}/{name}", []).append((row["step"], value))
    assert found == expected
    assert found["student/loss/MTL.soft"] == [(3, 2.0)]


class MadeWandb:
    """What of the library is called."""

    def __init__(self):
        self.begun, self.logged, self.finished = [], [], 0

    def init(self, **options):
        if options["name"] == "refused":
            raise RuntimeError("api_key not configured\n(no-tty)")
        self.begun.append(options)
        return SimpleNamespace(id="abc123", log=self._log, finish=self._finish)

    def _log(self, figures, step):
        self.logged.append((step, figures))

    def _finish(self):
        self.finished += 1


@pytest.fixture
def wandb(monkeypatch):
    made = MadeWandb()
    monkeypatch.setitem(sys.modules, "wandb", made)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return made


def test_weights_and_biases_gets_each_epoch_once_and_goes_on_with_its_run(folder, wandb):
    write(folder, parse_loggers("wandb"), EVENTS[:2])
    write(folder, parse_loggers("wandb"), EVENTS[2:])
    first, second = wandb.begun
    assert (first["project"], first["name"], first["id"]) == ("triaffect", "run", None)
    assert first["config"] == RECIPE.model_dump(mode="json")
    assert (second["id"], second["resume"]) == ("abc123", "allow")
    assert [step for step, _ in wandb.logged] == [1, 2, 3]
    assert wandb.logged[2][1]["student/loss/MTL.soft"] == 2.0
    assert "student/stage" not in wandb.logged[2][1]
    assert wandb.finished == 2
    assert json.loads((folder.root / "log" / "wandb.json").read_text()) == {"id": "abc123"}


def test_a_refusal_of_weights_and_biases_is_one_line(tmp_path, wandb):
    folder = begin_run(tmp_path / "refused", RECIPE, 0, "data", resume=False)
    with pytest.raises(RunError, match=r"--log wandb: .*api_key.*; wandb login") as error:
        write(folder, ["wandb"])
    assert "\n" not in str(error.value)


def test_loggers_that_are_not_there_are_named_before_training(monkeypatch):
    assert parse_loggers("tensorboard,csv,csv") == ("tensorboard", "csv")
    for text in ("", "csv,excel", "csv,"):
        with pytest.raises(RunError, match="loggers among csv, tensorboard, wandb"):
            parse_loggers(text)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(RunError, match=r"--log wandb: .*pip install wandb$"):
        parse_loggers("wandb")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RunError, match=r'pip install "triaffect\[tensorboard\]"$'):
        parse_loggers("csv,tensorboard")


def test_without_loggers_nothing_is_made(folder):
    write(folder, [])
    assert not (folder.root / "log").exists()

"""``triaffect corpus synth``."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from triaffect.cli.app import app
from triaffect.errors import TriaffectError


def run(*arguments: str) -> None:
    CliRunner().invoke(app, ["corpus", "synth", *arguments], catch_exceptions=False)


def test_makes_a_corpus_of_the_size_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    run(str(folder), "--people", "3", "--seconds", "1", "--seed", "2", "--jobs", "1")
    assert len(list((folder / "cropped_aligned").iterdir())) == 3
    assert '"seed": 2' in (folder / "SYNTHETIC.json").read_text()


def test_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(TriaffectError, match="new or empty folder"):
        run(str(tmp_path))

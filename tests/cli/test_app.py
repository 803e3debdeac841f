"""The command as a whole: what it offers, and how it ends when something is wrong."""

import subprocess
import sys
from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer import BadParameter

from triaffect.cli import _shared as shared
from triaffect.cli import app as cli
from triaffect.cli._shared import add_command, name_outputs, note, output_option, warn
from triaffect.corpora.soft_labels import corpus as soft_labels
from triaffect.errors import MediaError
from triaffect.version import __version__

COMMANDS = {"predict", "corpus", "extract", "train", "evaluate", "demo", "scores"}


def run(monkeypatch, capfd, *arguments):
    """Exit code, standard output and standard error of the command in this process."""
    monkeypatch.setattr(sys, "argv", ["triaffect", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        cli.main()
    out, err = capfd.readouterr()
    return done.value.code, out, err


def raising(error):
    def call(*_, **__):
        raise error

    return call


def test_help_names_every_command(monkeypatch, capfd):
    code, out, _ = run(monkeypatch, capfd, "--help")
    assert code == 0
    assert {word for word in COMMANDS if word in out.split()} == COMMANDS


@pytest.mark.parametrize("name", ["bench", "weights"])
@pytest.mark.parametrize("arguments", [[], ["--help"], ["convert", "FACE.h5", "--output", "W"]])
def test_moved_command_says_where_it_went(name, arguments, monkeypatch, capfd):
    code, out, err = run(monkeypatch, capfd, name, *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert f"{name}, which moved; run `python" in line


def test_without_arguments_it_helps(monkeypatch, capfd):
    code, out, err = run(monkeypatch, capfd)
    assert code == 2
    assert "predict" in out + err


def test_a_users_mistake_ends_in_one_line_and_code_2(monkeypatch, capfd, tmp_path):
    missing = tmp_path / "nothing.mp4"
    code, out, err = run(monkeypatch, capfd, "extract", missing, "--output", tmp_path / "store")
    assert code == 2
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("triaffect: ")
    assert "nothing.mp4" in line


def test_an_error_says_where_what_and_what_to_do(monkeypatch, capfd):
    error = MediaError("a video", "a poem", "record one", where="verse.txt")
    monkeypatch.setattr(cli, "app", raising(error))
    code, _, err = run(monkeypatch, capfd)
    assert code == 2
    assert err == "triaffect: verse.txt: expected a video, got a poem; record one\n"


def test_a_missing_system_library_is_told_with_its_remedy(monkeypatch, capfd):
    error = ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
    monkeypatch.setattr(cli, "app", raising(error))
    code, _, err = run(monkeypatch, capfd)
    assert code == 2
    (line,) = err.splitlines()
    assert "libGL.so.1" in line
    assert "apt-get install libgl1" in line


def test_a_processor_that_is_too_old_is_told_in_one_line(monkeypatch, capfd):
    text = (
        "NumPy was built with baseline optimizations:\n(X86_V2) but your machine doesn't support:"
    )
    monkeypatch.setattr(cli, "app", raising(RuntimeError(text)))
    code, _, err = run(monkeypatch, capfd)
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith("triaffect: expected a processor with SSE4.2")
    monkeypatch.setattr(cli, "app", raising(RuntimeError("a mistake of ours")))
    with pytest.raises(RuntimeError, match="of ours"):
        cli.main()


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("torch", 'triaffect train needs training: pip install "triaffect[train]"\n'),
        ("onnx.helper", 'triaffect train needs training: pip install "triaffect[train]"\n'),
        ("ray", 'triaffect train needs Ray: pip install "triaffect[ray]"\n'),
    ],
)
def test_missing_extra_is_one_line_with_the_command_to_install_it(
    monkeypatch, capfd, package, line
):
    error = ModuleNotFoundError(f"No module named {package!r}", name=package)
    monkeypatch.setattr(cli, "app", raising(error))
    code, _, err = run(monkeypatch, capfd, "train", "default")
    assert (code, err) == (2, line)


def test_version_is_printed(monkeypatch, capfd):
    assert run(monkeypatch, capfd, "--version")[:2] == (0, f"triaffect {__version__}\n")


def test_predict_is_first_in_the_help(monkeypatch, capfd):
    _, out, _ = run(monkeypatch, capfd, "-h")
    places = {word: out.index(f" {word} ") for word in COMMANDS}
    assert min(places, key=places.get) == "predict"


@pytest.mark.parametrize("path", [[], ["predict"], ["corpus"], ["corpus", "check"]])
def test_short_help_option_works_in_every_command(monkeypatch, capfd, path):
    code, out, _ = run(monkeypatch, capfd, *path, "-h")
    assert (code, "--help" in out) == (0, True)


@pytest.mark.parametrize("width", ["50", "79", "80", "120"])
@pytest.mark.parametrize("path", ["predict", "extract", "train", "compare", "corpus synth"])
def test_no_name_of_an_option_is_cut_short_however_narrow(monkeypatch, capfd, path, width):
    monkeypatch.setenv("COLUMNS", width)
    words = path.split()
    command = typer.main.get_command(cli.app)
    for word in words:
        command = command.commands[word]
    _, out, _ = run(monkeypatch, capfd, *words, "-h")
    names = [name for each in command.params for name in each.opts if name.startswith("--")]
    assert [name for name in names if name not in out] == []
    assert "…" not in out


def test_lines_of_help_are_as_long_as_they_can_be(monkeypatch, capfd):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(monkeypatch, capfd, "predict", "-h")
    assert " One row a frame and face; a frame without a face has one row, from the voice " in out


def test_commands_are_grouped(monkeypatch, capfd):
    _, out, _ = run(monkeypatch, capfd, "-h")
    panels = [line.split("─ ")[1].split(" ─")[0] for line in out.splitlines() if "╭─ " in line]
    assert panels == ["Options", "Predict", "Studies", "Train", "Challenge"]


def test_shell_completion_can_be_installed(monkeypatch, capfd):
    _, out, _ = run(monkeypatch, capfd, "--help")
    assert "--install-completion" in out


def test_old_spellings_are_accepted_with_a_warning_and_not_listed(monkeypatch, capfd):
    def show(output: Annotated[Path, output_option("A file.")], precision: str = "") -> None:
        typer.echo(f"{output} {precision}")

    program = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})
    modern = {"renamed": {"--out": "--output"}, "old_values": {"--precision": {"bf16": "x"}}}
    add_command(program, show, examples=["show -o a"], **modern)
    monkeypatch.setattr(cli, "app", program)
    for words, printed in (
        (["--out", "a"], "a \n"),
        (["--out=a", "--precision", "bf16"], "a x\n"),
        (["--out=bf16", "--precision=bf16"], "bf16 x\n"),
    ):
        code, out, err = run(monkeypatch, capfd, *words)
        assert (code, out) == (0, printed)
        assert err == "triaffect: warning: --out is now --output\n"
    assert run(monkeypatch, capfd, "-o", "a", "--precision", "--out")[1:] != ("a --out\n", "")
    _, out, _ = run(monkeypatch, capfd, "-h")
    assert "--out " not in out
    assert "show -o a" in out


def test_quiet_leaves_warnings_and_drops_notes(monkeypatch, capfd):
    def speak() -> None:
        warn("smoke")
        note("all is well")
        name_outputs("t.csv", None)

    program = typer.Typer()
    add_command(program, speak)
    monkeypatch.setattr(cli, "app", program)
    warning = "triaffect: warning: smoke\n"
    assert run(monkeypatch, capfd, "-q")[1:] == ("", warning)
    assert run(monkeypatch, capfd)[1:] == ("t.csv\n", f"{warning}triaffect: all is well\n")


def test_another_import_error_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "app", raising(ImportError("No module named 'nonsense'")))
    with pytest.raises(ImportError, match="nonsense"):
        cli.main()


def test_a_programmers_mistake_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "app", raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_an_interrupt_is_told_and_has_its_own_code(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(soft_labels, "open_corpus", raising(KeyboardInterrupt()))
    code, _, err = run(monkeypatch, capfd, "extract", tmp_path, "--output", tmp_path / "store")
    assert code == 130
    assert err.splitlines()[-1].startswith("triaffect: interrupted")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["predict", "--nonsense"], ["train", "recipe", "--seed", "many"], ["train"]],
    ids=["command", "option", "value", "missing"],
)
def test_a_wrong_call_ends_with_code_2(monkeypatch, capfd, arguments):
    code, out, err = run(monkeypatch, capfd, *arguments)
    assert code == 2
    assert "Traceback" not in out + err


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "triaffect", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "predict" in told


def test_the_installed_command_is_this_one():
    (command,) = entry_points(group="console_scripts", name="triaffect")
    assert command.load() is cli.main


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class TakenError(Exception):
    pass


@pytest.fixture
def program():
    """A program whose command raises what it was called with."""
    app = typer.Typer()

    def take(
        paths: list[Path],
        *,
        name: str = "nobody",
        color: Color = Color.RED,
        share: Annotated[float, typer.Option(min=0, max=1)] = 0.5,
        count: Annotated[int | None, typer.Option(min=2)] = None,
        note: Annotated[list[str] | None, typer.Option()] = None,
        folder: Annotated[Path | None, typer.Option(file_okay=False)] = None,
    ) -> None:
        raise TakenError(paths, name, color, share, count, note, folder)

    add_command(app, take)
    return typer.main.get_command(app)


@pytest.mark.parametrize("directly", [True, False])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("nobody", Color.RED, 0.5, None, None)),
        (["--color", "blue", "--name", "3", "--count", "12"], ("3", Color.BLUE, 0.5, 12, None)),
        (["--share", "0.25", "--note", "a", "--note", "b"],
         ("nobody", Color.RED, 0.25, None, ["a", "b"])),
        (["--share", "1e-1", "--count", "+7", "--name", ""], ("", Color.RED, 0.1, 7, None)),
        (["--share", "1.5"], "Input should be less than or equal to 1"),
        (["--count", "1"], "Input should be greater than or equal to 2"),
        (["--count", "1.5"], "Input should be a valid integer"),
        (["--color", "green"], "'green' is not one of"),
        (["--folder", __file__], "is a file"),
    ],
)  # fmt: skip
def test_words_are_converted_as_typer_does(program, words, expected, directly, monkeypatch):
    """With and without the ways past pydantic, which is slow to import."""
    if not directly:
        monkeypatch.setattr(shared, "_convert_directly", lambda _: None)
    arguments = ["a b.mp4", "-", *words] if words != ["--count", "1.5"] else ["x", *words]
    if isinstance(expected, str):
        with pytest.raises(BadParameter, match=expected):
            program(arguments, standalone_mode=False)
        return
    with pytest.raises(TakenError) as taken:
        program(arguments, standalone_mode=False)
    paths, *others, folder = taken.value.args
    assert (paths, tuple(others), folder) == ([Path("a b.mp4"), Path("-")], expected, None)

"""``triaffect app`` as a user meets it: refusals in one line, a page that is there, Ctrl-C."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from triaffect.cli.app import main

TOKEN = "0123456789-abcdefghij"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command in this process, where it is to be refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIAFFECT_TOKEN", raising=False)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["triaffect", "app", "--no-browser", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main()
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1, err
        return done.value.code, err

    return call


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "0.0.0.0"], "expected a token with --host 0.0.0.0, got none"),
        (["--host", "::"], "expected a token with --host ::, got none"),
        (["--host", "server.example"], "expected a token with --host server.example"),
        (["--host", "0.0.0.0", "--token", "short"], "a token of at least 16"),
        (["--token", "with a blank and more"], "a token of at least 16"),
        (["--host", "192.0.2.1", "--token", TOKEN], "an address and port that are free"),
        (["--max-length", "soon"], "--max-length"),
        (["--port", "0", "--model", "nothing"], "nothing"),
    ],
)
def test_what_cannot_be_is_refused(run, words, message):
    code, err = run(*words)
    assert code == 2
    assert message in err


def test_a_port_that_is_taken(run):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, err = run("--port", port)
    assert code == 2
    assert f"--port {port}: expected an address and port that are free" in err
    assert "choose another --port" in err


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "websockets"])
def test_without_the_extra_it_says_what_to_install(package):
    code = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = ['triaffect', 'app']\n"
        "from triaffect.cli.app import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == 'triaffect app needs a web server: pip install "triaffect[app]"\n'


@pytest.mark.parametrize("stored", [True, False])
def test_it_serves_until_ctrl_c(model, tmp_path, stored):
    command = [sys.executable, "-m", "triaffect", "app", "--no-browser", "--port", "0"]
    command += ["--model", str(model), *(["--folder", "history"] if stored else [])]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        address = re.search(r"http://127\.0\.0\.1:\d+/", server.stderr.readline())[0]
        with urllib.request.urlopen(f"{address}api/state", timeout=30) as answer:
            assert json.load(answer)["is_stored"] is stored
        server.send_signal(signal.SIGINT)
        assert server.wait(180) == 0
        assert server.stderr.read() == ""
    assert [path.name for path in tmp_path.iterdir()] == (["history"] if stored else [])

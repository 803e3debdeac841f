"""The page on the app: its commands and its program, run as they are written."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pandas as pd
import pytest

from tests.app.serving import wait_until
from tests.architecture.repository import ROOT
from tests.prediction.tiny_model import write_clip
from triaffect.app.openapi import _ERRORS

PAGE = (ROOT / "docs" / "how-to" / "use-the-app.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def blocks(language):
    return [text for each, text in BLOCKS if each == language]


def is_taken():
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", 8765)) == 0


@contextmanager
def started(line, folder):
    """A command of the page that serves, until Ctrl-C."""
    words = shlex.split(line)
    assert words[:2] == ["triaffect", "app"]
    environment = {**os.environ, "BROWSER": "true"}  # a browser that shows nothing
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert "the page is at http://127.0.0.1:8765/" in server.stderr.readline()
            yield
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(180) == 0


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.skipif(is_taken(), reason="another app has the port that the page names")
def test_its_commands_and_program_do_what_it_says(tmp_path):
    write_clip(tmp_path / "interview.mp4", 30)
    first, second = (text.strip().splitlines()[-1] for text in blocks("sh"))
    with started(first, tmp_path):
        assert (tmp_path / "history").is_dir()
        for line in blocks("bash")[0].strip().splitlines():
            subprocess.run(shlex.split(line), cwd=tmp_path, check=True, capture_output=True)
        body = json.loads((tmp_path / "interview.json").read_text())
        assert (body["name"], body["rows"]) == ("interview.mp4", 6)
        assert len(pd.read_csv(tmp_path / "interview.csv")) == 30
        assert json.loads((tmp_path / "openapi.json").read_text())["openapi"] == "3.1.0"
        (program,) = blocks("python")
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout.split()[0] == "30"
    wait_until(lambda: not is_taken())
    with started(second, tmp_path):
        token = shlex.split(second)[shlex.split(second).index("--token") + 1]
        request = urllib.request.Request(
            "http://127.0.0.1:8765/api/state", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["is_stored"]


def test_its_errors_are_those_of_the_interface():
    told = {int(status) for status in re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE)}
    assert told == set(_ERRORS)


def test_its_buttons_are_those_of_the_page():
    script = (ROOT / "src" / "triaffect" / "app" / "web" / "app.js").read_text("utf-8")
    for names in re.findall(r"^\| ([A-Z][^|]*) \| ", PAGE, re.MULTILINE):
        for name in names.strip().split("; "):
            assert f'"{name}"' in script

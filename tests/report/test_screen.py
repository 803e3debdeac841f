"""What a camera sees while it is predicted: in a window, on a page, until somebody has enough."""

import io
import threading
import urllib.error
import urllib.request
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.app.serving import wait_until
from tests.prediction.tiny_model import portrait, write_clip, write_tiny_model
from triaffect.cli.app import main
from triaffect.media.webcam import WebcamFrames
from triaffect.prediction import inputs as inputs_module
from triaffect.prediction.batch import predict_files
from triaffect.prediction.inputs import InputOptions
from triaffect.prediction.parts import PredictionJob
from triaffect.report.drawing import screen as screen_module
from triaffect.report.drawing.screen import LiveView, PageScreen, WindowScreen, has_windows


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


class LoopingCapture:
    """A video in place of a camera, read by OpenCV, again and again."""

    def __init__(self, path):
        self._device = cv2.VideoCapture(path)

    def read(self):
        is_read, bgr = self._device.read()
        if not is_read:
            self._device.set(cv2.CAP_PROP_POS_FRAMES, 0)
            return self._device.read()
        return is_read, bgr

    def release(self):
        self._device.release()


@pytest.fixture
def camera(tmp_path, monkeypatch):
    path = str(write_clip(tmp_path / "camera.mp4", 30, sound=False))

    def made(number, seconds):
        return WebcamFrames(number, seconds, lambda number: LoopingCapture(path))

    monkeypatch.setattr(inputs_module, "WebcamFrames", made)
    return Path("webcam:0")


class Watched:
    """A screen that has enough after some pictures."""

    def __init__(self, most):
        self.most, self.pictures, self.is_closed = most, [], False

    def show(self, rgb):
        self.pictures.append(rgb)
        return len(self.pictures) < self.most

    def close(self):
        self.is_closed = True


def test_frames_are_shown_with_their_rows_until_nobody_wants_more(model, camera, tmp_path):
    watched = Watched(3)
    job = PredictionJob(tmp_path / "t.csv", model, inputs=InputOptions())
    with LiveView(lambda: watched) as view:
        results = predict_files([camera], job, frame_listener=view)
    assert watched.is_closed
    assert 3 <= len(watched.pictures) <= results[0].rows
    for picture in watched.pictures[:3]:
        bare = cv2.resize(portrait(), picture.shape[1::-1])
        assert picture.shape == bare.shape
        assert (np.abs(picture.astype(int) - bare).max(axis=2) > 60).mean() > 0.01


def test_a_file_is_not_shown(model, tmp_path):
    watched = Watched(3)
    path = write_clip(tmp_path / "clip.mp4", 3, sound=False)
    with LiveView(lambda: watched) as view:
        predict_files([path], PredictionJob(tmp_path / "t.csv", model), frame_listener=view)
    assert not watched.pictures


def read_pictures(address, pictures):
    """Pictures of a stream until it ends."""
    content = io.BytesIO()
    with urllib.request.urlopen(f"{address}frames", timeout=60) as answer:
        while piece := answer.read1(2**16):
            content.write(piece)
            parts = content.getvalue().split(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n")[1:]
            pictures[:] = [part for part in parts if part.endswith(b"\xff\xd9\r\n")]


def test_a_browser_sees_the_pictures_at_an_address_that_nobody_can_guess():
    said, opened, pictures = [], [], []
    screen = PageScreen(said.append, opened.append)
    reader = threading.Thread(target=read_pictures, args=(screen.address, pictures))
    try:
        assert said == [screen.address]
        wait_until(lambda: opened == [screen.address])
        with urllib.request.urlopen(screen.address, timeout=60) as answer:
            assert b"src='frames'" in answer.read()
        root = screen.address.rsplit("/", 2)[0]
        for other in (f"{root}/", f"{root}/frames", f"{screen.address}x"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(other, timeout=60)
        reader.start()
        levels = count(40)

        def show_next():
            screen.show(np.full((48, 64, 3), next(levels) % 200, np.uint8))
            return len(pictures) >= 2

        wait_until(show_next)
        seen = cv2.imdecode(np.frombuffer(pictures[0][:-2], np.uint8), cv2.IMREAD_COLOR)
        assert seen.shape == (48, 64, 3)
    finally:
        screen.close()
    reader.join(60)
    assert not reader.is_alive()


def test_a_window_is_taken_where_opencv_has_them(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    for gui, expected in (("  GUI:  GTK3\n", True), ("  GUI:  NONE\n", False)):
        monkeypatch.setattr(cv2, "getBuildInformation", lambda gui=gui: f"OpenCV\n{gui}")
        assert has_windows() is expected
    shown = []
    monkeypatch.setattr(cv2, "imshow", lambda title, bgr: shown.append((title, bgr)))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
    monkeypatch.setattr(cv2, "destroyAllWindows", shown.clear)
    screen, red = WindowScreen(), np.full((2, 2, 3), (255, 0, 0), np.uint8)
    for key, wants_more in ((-1, True), (ord("x"), True), (ord("q"), False), (27, False)):
        monkeypatch.setattr(cv2, "waitKey", lambda _, key=key: key)
        assert screen.show(red) is wants_more
    assert shown[0][1][0, 0].tolist() == [0, 0, 255]
    screen.close()
    assert not shown


def test_the_command_shows_the_camera(model, camera, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(screen_module, "has_windows", lambda: False)
    monkeypatch.setattr(screen_module.webbrowser, "open", opened.append)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        line = ["triaffect", "predict", *words, "--model", str(model), "-o", "t.csv", "--show"]
        monkeypatch.setattr("sys.argv", line)
        with pytest.raises(SystemExit) as done:
            main()
        return done.value.code or 0, capsys.readouterr().err

    code, err = run("webcam:0", "--seconds", "2")
    assert code == 0
    assert "the camera is shown at http://127.0.0.1:" in err
    code, err = run("camera.mp4")
    assert code == 2
    assert err.startswith("triaffect: --show: expected a camera, such as webcam:0, got a file; for")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    code, err = run("webcam:97")
    assert code == 2
    assert err.splitlines() == [
        "triaffect: webcam:97: expected a camera that can be opened, got none, or one in use; "
        "try another number"
    ]

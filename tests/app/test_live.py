"""Live: frames and sound over a WebSocket, answers at once, recordings only when wished for."""

import struct
import time

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.app.serving import make_state, wait_until
from tests.app.test_rest import jpeg, left
from tests.prediction.tiny_model import portrait, tone
from triaffect.app import live as live_module
from triaffect.app import server as server_module
from triaffect.app.history import ENDED, RequestError
from triaffect.app.live import RATE, LiveSession, jpeg_size
from triaffect.app.server import create_app
from triaffect.media.images import ArrayFrames, FrameSource

HOST = {"Host": "127.0.0.1"}
"""The test client would call us otherwise, whatever its base is."""


@pytest.fixture
def client(predictor, tmp_path):
    state = make_state(predictor, tmp_path / "history")
    with TestClient(create_app(state), base_url="http://127.0.0.1") as made:
        made.state = state
        yield made


def frame(time_s, content=None):
    return struct.pack("<Bd", 1, time_s) + (jpeg() if content is None else content)


def sound(time_s, samples):
    return struct.pack("<Bd", 2, time_s) + (samples * 32767).astype("<i2").tobytes()


def test_every_frame_has_its_answer_and_nothing_is_stored(client, predictor):
    with client.websocket_connect("/live", headers=HOST) as socket:
        head = socket.receive_json()
        assert (head["type"], head["rate"]) == ("head", RATE)
        assert head["thresholds"] == predictor.thresholds
        answers = []
        for k in range(5):
            socket.send_bytes(frame(k / 10))
            answers.append(socket.receive_json())
        socket.send_bytes(
            frame(0.5, cv2.imencode(".jpg", np.full((90, 90, 3), 90, "u1"))[1].tobytes())
        )
        empty = socket.receive_json()
    assert [answer["time"] for answer in answers] == [0, 0.1, 0.2, 0.3, 0.4]
    names = [column for panel in head["panels"] for column in panel["columns"]]
    expected = predictor.predict([(k / 10, decoded()) for k in range(5)])
    for answer, (_, row) in zip(answers, expected.iterrows(), strict=True):
        (face,) = answer["faces"]
        told = [value for values in face["values"] for value in values]
        assert told == pytest.approx([row[name] for name in names], abs=1e-6, nan_ok=True)
        assert face["box"] == pytest.approx([row[f"box_{side}"] for side in "xywh"], abs=0.11)
        assert answer["behind_s"] >= 0
        assert answer["recording_s"] is None
    assert empty["faces"][0]["box"] is None
    assert left(client.state.history.folder) == []
    assert client.state.history.entries() == []


def decoded():
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg(), "u1"), 1), cv2.COLOR_BGR2RGB)


def test_the_sound_is_taken_along(client):
    talk, voices = tone(6.0), []
    with client.websocket_connect("/live", headers=HOST) as socket:
        socket.receive_json()
        for k in range(60):
            socket.send_bytes(sound(k / 10, talk[k * 1600 : (k + 1) * 1600]))
        wait_until(lambda: _is_voice(socket, voices))
    assert voices[-1]


def _is_voice(socket, voices):
    """Ask until the voice network has come to where there is a voice."""
    socket.send_bytes(frame(4.0 + len(voices) / 100))
    voices.append(socket.receive_json()["voice"])
    time.sleep(0.05)
    return voices[-1]


def test_a_recording_becomes_a_job_with_its_table(client):
    talk = tone(6.0)
    with client.websocket_connect("/live", headers=HOST) as socket:
        socket.receive_json()
        socket.send_bytes(frame(1.0))
        assert socket.receive_json()["recording_s"] is None
        socket.send_text("record")
        told = []
        for k in range(20):
            at_s = 1.1 + k / 10
            socket.send_bytes(frame(at_s))
            told.append(socket.receive_json()["recording_s"])
            socket.send_bytes(sound(at_s, talk[k * 1600 : (k + 1) * 1600]))
        assert told[-1] == pytest.approx(1.9, abs=0.01)
        socket.send_text("stop")
        assert socket.receive_json()["type"] == "recorded"
        socket.send_bytes(frame(3.3))
        assert socket.receive_json()["recording_s"] is None
    (entry,) = client.state.history.entries()
    wait_until(lambda: client.state.history.entry(entry.id).state in ENDED)
    entry = client.state.history.entry(entry.id)
    assert (entry.state, entry.rows) == ("done", 20)
    assert entry.name.startswith("recording ")
    answer = client.get(f"/api/jobs/{entry.id}/recording.mp4")
    path = client.state.history.folder / entry.id / "recording.mp4"
    assert answer.content == path.read_bytes()
    with av.open(str(path)) as container:
        assert (
            float(container.streams.video[0].duration * container.streams.video[0].time_base) > 1.8
        )
        samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert len(samples) == pytest.approx(2 * RATE, abs=3000)
    assert np.abs(samples).max() > 0.01
    table = pd.read_parquet(path.parent / "table.parquet")
    assert table["time_s"].tolist() == pytest.approx(np.arange(20) / 10, abs=0.002)


def test_a_recording_that_cannot_be_written_is_told_and_leaves_nothing(client, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(live_module, "timed_video", fail)
    with client.websocket_connect("/live", headers=HOST) as socket:
        socket.receive_json()
        socket.send_text("record")
        for k in range(3):
            socket.send_bytes(frame(k / 10))
            assert socket.receive_json()["type"] == "answer"
        socket.send_text("stop")
        told = socket.receive_json()
        assert told["type"] == "error"
        assert "No space left" in told["message"]
    assert left(client.state.history.folder) == []
    assert client.state.history.entries() == []


def test_a_page_that_goes_while_it_records_leaves_the_recording(client):
    with client.websocket_connect("/live", headers=HOST) as socket:
        socket.receive_json()
        socket.send_text("record")
        for k in range(5):
            socket.send_bytes(frame(k / 10))
            socket.receive_json()
    (entry,) = wait_until(client.state.history.entries)
    wait_until(lambda: client.state.history.entry(entry.id).state in ENDED)
    assert client.state.history.entry(entry.id).rows == 5
    assert client.state.live == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x01", "a frame or a sound"),
        (struct.pack("<Bd", 1, 0) + b"words", "a JPEG picture"),
        (
            struct.pack("<Bd", 1, 0) + bytes.fromhex("ffd8ffc0000b08ffffffff0101110000"),
            "1920 by 1080",
        ),
        (struct.pack("<Bd", 2, 0) + b"odd", "16-bit samples"),
        (struct.pack("<Bd", 2, float("nan")) + b"ok", "16-bit samples"),
    ],
)
def test_what_is_no_frame_ends_the_session_with_a_word(client, content, words):
    with client.websocket_connect("/live", headers=HOST) as socket:
        socket.receive_json()
        socket.send_bytes(content)
        told = socket.receive_json()
        assert told["type"] == "error"
        assert words in told["message"]
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_cameras_are_bounded(client, monkeypatch):
    monkeypatch.setattr(server_module, "_MOST_LIVE", 1)
    with client.websocket_connect("/live", headers=HOST) as one:
        one.receive_json()
        with client.websocket_connect("/live", headers=HOST) as two:
            assert "at most 1 cameras" in two.receive_json()["message"]
    wait_until(lambda: client.state.live == 0)


def test_a_slow_prediction_sees_the_newest_frame(predictor):
    answers = []

    def answer_slowly(answer):
        answers.append(answer["time"])
        time.sleep(0.2)

    session = LiveSession(predictor, answer_slowly, 60)
    for k in range(30):
        session.add_frame(k / 30, jpeg())
        time.sleep(0.02)
    wait_until(lambda: answers and answers[-1] == pytest.approx(29 / 30, abs=1e-6))
    session.close()
    assert len(answers) < 10


def test_a_size_is_read_from_the_header_alone():
    assert jpeg_size(jpeg()) == portrait().shape[1::-1]
    for content in (
        b"",
        b"\xff\xd8",
        b"GIF89a" * 9,
        b"\xff\xd8" + b"\xff\xe0\xff\xff" + b"\0" * 40,
    ):
        with pytest.raises(RequestError, match="a JPEG picture"):
            jpeg_size(content)


def test_live_frames_get_the_rows_of_a_file_one_by_one(predictor):
    frames = [(k / 10, np.roll(portrait(), k, 1)) for k in range(12)]
    source = FrameSource(ArrayFrames(iter(frames)), "frames", is_live=True)
    tables = [table.to_pandas() for table in predictor.predict_source(source)]
    assert [len(table) for table in tables] == [1] * 12
    whole = predictor.predict(frames)
    told = pd.concat(tables, ignore_index=True).astype({"face_id": "Int64"})
    pd.testing.assert_frame_equal(told, whole, check_dtype=False)

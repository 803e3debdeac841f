"""REST for programs: answers, limits, refusals; and clients that go."""

import http.client
import io
import json
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import pandas as pd
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.app.serving import make_state, serve, wait_until
from tests.prediction.tiny_model import portrait, tone, write_clip, write_sound
from triaffect.app import jobs as jobs_module
from triaffect.app import server as server_module
from triaffect.app.history import JobOptions, RequestError
from triaffect.app.jobs import Limits, describe_error
from triaffect.app.server import create_app
from triaffect.errors import DiskError

TOKEN = "0123456789-abcdefghij"
PARTS = {"status", "code", "expected", "got", "remedy", "message"}


def jpeg():
    return cv2.imencode(".jpg", cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))[1].tobytes()


@pytest.fixture
def client(predictor, tmp_path):
    """A client of an app that takes on little."""
    limits = Limits(size=300_000, length_s=3.0, waiting=50)
    state = make_state(predictor, tmp_path / "history", limits=limits)
    app = create_app(state)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as made:
        made.state = state
        made.folder = tmp_path / "history"
        yield made


def left(folder):
    """What of jobs is on the disk."""
    return [path for path in folder.iterdir() if path.is_dir()]


def refusal(answer, status, code):
    """The error of an answer, which has the one body of all errors."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == PARTS
    assert body["error"]["code"] == code
    assert body["error"]["status"] == str(status)
    return body["error"]["message"]


def test_a_file_gives_the_rows_of_predict_as_json_and_csv(client, predictor, clip):
    expected = predictor.predict(clip).drop(columns="clip")
    content = clip.read_bytes()
    answer = client.post("/predict", params={"name": "talk.mp4"}, content=content)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["name"], body["rows"], body["remark"]) == ("talk.mp4", len(expected), "")
    table = pd.DataFrame(body["table"])
    assert set(table["clip"]) == {"talk.mp4"}
    told = table.drop(columns="clip").astype({"face_id": "Int64"})
    pd.testing.assert_frame_equal(told, expected, check_dtype=False, atol=1e-6)
    for way in ({"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}):
        answer = client.post("/predict", content=content, **way)
        assert answer.headers["content-type"].startswith("text/csv")
        told = pd.read_csv(io.StringIO(answer.text), dtype={"face_id": "Int64"})
        pd.testing.assert_frame_equal(
            told.drop(columns="clip"), expected, check_dtype=False, atol=1e-6
        )
    assert left(client.folder) == []


def test_a_sound_a_picture_and_options(client, tmp_path):
    sound = write_sound(tmp_path / "a.wav", tone(2.0)).read_bytes()
    assert client.post("/predict", content=sound).json()["rows"] > 5
    assert client.post("/predict", content=jpeg()).json()["rows"] == 1
    clip = write_clip(tmp_path / "two.mp4", 20, copies=2, sound=False).read_bytes()
    options = {"max_faces": 1, "stride_s": "0.2", "smooth": "true"}
    body = client.post("/predict", content=clip, params=options).json()
    assert body["rows"] == 4
    assert "valence_smooth" in body["table"][0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stride": "1"}, "one of the options stride_s, max_faces"),
        ({"stride_s": "soon"}, "stride_s"),
        ({"max_faces": "0"}, "max_faces"),
        ({"format": "xml"}, "json or csv"),
    ],
)
def test_options_that_cannot_be(client, options, words):
    message = refusal(client.post("/predict", content=b"x", params=options), 400, "bad_option")
    assert words in message


def test_garbage_and_what_is_cut_off(client, clip):
    for name, content in (
        ("a.mp4", b"words" * 99),
        ("../../x", b"\0" * 500),
        ("a.jpg", b"\xff\xd8"),
    ):
        answer = client.post("/predict", content=content, params={"name": name})
        message = refusal(answer, 422, "not_media")
        assert str(client.folder) not in message
    refusal(client.post("/predict", content=b""), 400, "empty")
    cut = client.post("/predict", content=clip.read_bytes()[:9000])
    assert cut.status_code in (200, 422)
    if cut.status_code == 200:
        assert cut.json()["remark"]
    form = client.post("/predict", files={"file": ("x.mp4", b"x")})
    assert "--data-binary" in refusal(form, 415, "wrong_body")
    assert left(client.folder) == []


def test_what_is_too_large_or_too_long(client, tmp_path):
    refusal(client.post("/predict", content=b"0" * 300_001), 413, "too_large")

    def pieces():  # without a length beforehand
        for _ in range(40):
            yield b"0" * 10_000

    refusal(client.post("/predict", content=pieces()), 413, "too_large")
    long = write_clip(tmp_path / "long.mp4", 100, sound=False).read_bytes()
    assert "at most 3 s" in refusal(client.post("/predict", content=long), 413, "too_long")
    assert left(client.folder) == []


@pytest.mark.parametrize("content", [b"words" * 99, jpeg()])
def test_nothing_of_a_job_is_left_when_its_answer_comes(client, content, monkeypatch):
    compute = client.state.queue._compute

    def compute_slowly(group):
        compute(group)
        time.sleep(0.5)  # the thread has more to do after the job's end

    monkeypatch.setattr(client.state.queue, "_compute", compute_slowly)
    for _ in range(2):
        assert client.post("/predict", content=content).status_code in (200, 422)
        assert left(client.folder) == []


def test_what_takes_too_long(predictor, tmp_path, clip):
    limits = Limits(work_s=-1.0)
    app = create_app(make_state(predictor, tmp_path / "h", limits=limits))
    with TestClient(app, base_url="http://localhost") as client:
        answer = client.post("/predict", content=clip.read_bytes())
    refusal(answer, 504, "too_slow")
    assert left(tmp_path / "h") == []


def test_no_name_of_a_request_becomes_a_path(client, tmp_path):
    before = {path for path in tmp_path.rglob("*") if "history" not in path.parts}
    for name in ("../../x", "/etc/passwd", "a\0b", "..", "x" * 5000, "\ud800"):
        shown = name.encode("utf-8", "replace").decode()
        answer = client.post("/api/jobs", params={"name": shown}, content=jpeg())
        assert answer.status_code == 201
        assert len(answer.json()["name"]) <= 200
    after = {path for path in tmp_path.rglob("*") if "history" not in path.parts}
    assert after == before
    assert all(len(path.name) == 16 for path in left(client.folder))
    for address in ("/api/jobs/../../x/page.html", "/api/jobs/..%2f..%2fx/page.html",
                    "/static/..%2fserver.py", "/static/server.py"):  # fmt: skip
        refusal(client.get(address), 404, "not_found")
    (one,) = [job for job in client.get("/api/jobs").json()["jobs"] if job["name"] == ".."]
    for name in ("job.json", "..%2flock", "media"):
        refusal(client.get(f"/api/jobs/{one['id']}/{name}"), 404, "not_found")


def test_hosts_and_origins_are_checked(client):
    for headers, code in (
        ({"Host": "evil.example"}, "wrong_host"),
        ({"Host": "127.0.0.1.evil.example:80"}, "wrong_host"),
        ({"Host": ""}, "wrong_host"),
        ({"Origin": "http://evil.example"}, "wrong_origin"),
        ({"Origin": "null"}, "wrong_origin"),
        ({"Origin": "http://127.0.0.1:1"}, "wrong_origin"),
    ):
        refusal(client.get("/api/jobs", headers=headers), 403, code)
        refusal(client.post("/predict", content=b"x", headers=headers), 403, code)
    fine = {"Host": "localhost:8765", "Origin": "http://localhost:8765"}
    assert client.get("/api/jobs", headers=fine).status_code == 200
    evil = {"Host": "127.0.0.1", "Origin": "http://evil.example"}
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/live", headers=evil),
    ):
        pass
    assert refused.value.code == 1008


def test_a_token_is_needed_where_there_is_one(predictor, tmp_path):
    app = create_app(make_state(predictor, tmp_path / "h"), (), TOKEN)
    with TestClient(app, base_url="http://server.example") as client:
        assert client.get("/health").status_code == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            refusal(client.get("/api/jobs", headers=headers), 401, "no_token")
            refusal(client.get("/", headers=headers), 401, "no_token")
        good = {"Authorization": f"Bearer {TOKEN}"}
        assert client.post("/predict", content=jpeg(), headers=good).status_code == 200
        refusal(client.get("/?token=wrong"), 401, "no_token")
        entered = client.get(f"/?token={TOKEN}", follow_redirects=False)
        assert entered.headers["location"] == "/"
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get("/api/jobs").status_code == 200, "by the cookie"


def test_every_answer_keeps_other_pages_out(client):
    for address in ("/", "/static/app.js", "/health", "/nothing"):
        headers = client.get(address).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
    refusal(client.get("/nothing"), 404, "not_found")
    refusal(client.get("/predict"), 405, "wrong_method")


def test_the_interface_is_described_as_it_is(client):
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method in methods:
            answer = client.request(method, path)
            assert str(answer.status_code) in methods[method]["responses"]
    post = document["paths"]["/predict"]["post"]
    described = {each["name"] for each in post["parameters"]}
    assert described - {"name", "format"} <= set(JobOptions.model_fields)
    body = client.post("/predict", content=jpeg()).json()
    assert set(body) == set(document["components"]["schemas"]["Prediction"]["required"])
    health = client.get("/health").json()
    assert set(health) == set(document["components"]["schemas"]["Health"]["required"])
    assert document["components"]["schemas"]["Error"]["properties"]["error"]["required"] == [
        *("status", "code", "expected", "got", "remedy", "message")
    ]


def test_a_full_queue_refuses_and_pictures_that_wait_go_together(predictor, tmp_path, monkeypatch):
    groups, go = [], threading.Event()
    plain = jobs_module.JobQueue._compute

    def compute(queue, group):
        groups.append(len(group))
        go.wait(180)
        plain(queue, group)

    monkeypatch.setattr(jobs_module.JobQueue, "_compute", compute)
    state = make_state(predictor, tmp_path / "h", limits=Limits(waiting=3))
    with TestClient(create_app(state), base_url="http://localhost") as client:
        add = {"params": {"name": "a.jpg"}, "content": jpeg()}
        ids = [client.post("/api/jobs", **add).json()["id"]]
        wait_until(lambda: groups)
        ids += [client.post("/api/jobs", **add).json()["id"] for _ in range(3)]
        refusal(client.post("/api/jobs", **add), 503, "busy")
        refusal(client.post("/predict", **add), 503, "busy")
        go.set()
        wait_until(lambda: all(state.history.entry(each).state == "done" for each in ids))
    assert groups == [1, 3]
    tables = [pd.read_parquet(tmp_path / "h" / each / "table.parquet") for each in ids]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_one_bad_picture_spoils_no_other_of_its_batch(predictor, tmp_path, monkeypatch, clip):
    go = threading.Event()
    plain = jobs_module.JobQueue._take
    monkeypatch.setattr(jobs_module.JobQueue, "_take", lambda q: go.wait(180) and plain(q))
    state = make_state(predictor, tmp_path / "h")
    contents = [jpeg(), b"garbage", clip.read_bytes(), jpeg()]
    with TestClient(create_app(state), base_url="http://localhost") as client:
        for content in contents:
            client.post("/api/jobs", params={"name": "a.jpg"}, content=content)
        go.set()
        entries = wait_until(
            lambda: (
                all(e.state in jobs_module.ENDED for e in state.history.entries())
                and state.history.entries()[::-1]
            )
        )
    assert [entry.state for entry in entries] == ["done", "failed", "done", "done"]
    assert [entry.rows for entry in entries] == [1, 0, 40, 1]


def test_a_client_that_goes_leaves_nothing(predictor, tmp_path, monkeypatch, clip):
    started, go = threading.Event(), threading.Event()
    plain = jobs_module.JobQueue._compute

    def compute(queue, group):
        started.set()
        go.wait(180)
        plain(queue, group)

    monkeypatch.setattr(jobs_module.JobQueue, "_compute", compute)
    state, content = make_state(predictor, tmp_path / "h"), clip.read_bytes()
    with serve(state) as address:
        where = urlsplit(address)
        head = f"POST /predict HTTP/1.1\r\nHost: {where.netloc}\r\n"
        with socket.create_connection((where.hostname, where.port)) as half:  # in its upload
            half.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:2000])
            wait_until(lambda: left(tmp_path / "h"))
        wait_until(lambda: not left(tmp_path / "h"))
        assert not started.is_set()
        with socket.create_connection((where.hostname, where.port)) as whole:  # in its prediction
            whole.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            assert started.wait(180)
        wait_until(lambda: any(event.is_set() for event in state.queue._stopped.values()))
        go.set()
        wait_until(lambda: not left(tmp_path / "h"))
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=180)
        connection.request("POST", "/predict", content)  # and the next one is served
        assert json.loads(connection.getresponse().read())["rows"] == 40
        connection.close()


def test_a_client_that_stops_sending_is_not_waited_for(predictor, tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "_IDLE_S", 0.3)
    state = make_state(predictor, tmp_path / "h")
    with serve(state) as address:
        where = urlsplit(address)
        with socket.create_connection((where.hostname, where.port)) as slow:
            slow.sendall(
                f"POST /predict HTTP/1.1\r\nHost: {where.netloc}\r\n"
                "Content-Length: 100\r\n\r\nabc".encode()
            )
            assert b"408" in slow.recv(200)
    assert left(tmp_path / "h") == []


def test_errors_are_told_without_our_paths():
    told = describe_error(DiskError("room", "a full disk", where="x"), Path("media"), "a.mp4")
    assert (told["status"], told["code"]) == ("507", "no_room")
    told = describe_error(ValueError("boom"), Path("media"), "a.mp4")
    assert (told["status"], told["code"], told["got"]) == ("500", "internal", "boom")
    told = describe_error(RequestError(404, "x", "this", "that", "so"), Path("m"), "")
    assert told["message"] == "expected this, got that; so"

"""The history: what stays, what is gone, what a killed server goes on with."""

import json

import openpyxl
import pandas as pd
import pyarrow.parquet
import pytest
from starlette.testclient import TestClient

from tests.app.serving import make_state, wait_until
from tests.app.test_rest import jpeg, left, refusal
from tests.prediction.tiny_model import write_clip
from triaffect.app import history as history_module
from triaffect.app.history import ENDED, FILES, History, JobOptions, JobState
from triaffect.app.server import create_app
from triaffect.errors import DiskError, TableError


@pytest.fixture
def client(predictor, tmp_path):
    state = make_state(predictor, tmp_path / "history")
    with TestClient(create_app(state), base_url="http://127.0.0.1") as made:
        made.history = state.history
        yield made


def run(client, content, name="talk.mp4", **options):
    """A job of the page, when it has ended."""
    answer = client.post("/api/jobs", params={"name": name, **options}, content=content)
    assert answer.status_code == 201, answer.text
    id_ = answer.json()["id"]
    wait_until(lambda: client.history.entry(id_).state in ENDED)
    (job,) = [job for job in client.get("/api/jobs").json()["jobs"] if job["id"] == id_]
    return job


def test_a_job_gives_every_download_and_its_file_is_gone(client, clip, predictor):
    job = run(client, clip.read_bytes(), annotate=True)
    assert (job["state"], job["rows"], job["progress"]) == ("done", 40, 1.0)
    assert job["duration_s"] == pytest.approx(1.6, abs=0.05)
    assert [face["label"] for face in job["results"]] == ["Face 0", "No face"]
    folder = client.history.folder / job["id"]
    assert not client.history.media(job["id"]).exists()
    assert set(job["files"]) == set(FILES) - {"annotated.png", "recording.mp4"}
    for name in job["files"]:
        answer = client.get(f"/api/jobs/{job['id']}/{name}")
        assert answer.headers["content-type"] == FILES[name]
        assert answer.content == (folder / name).read_bytes()
        disposition = answer.headers.get("content-disposition", "")
        assert disposition == (
            "" if name == "page.html" else f"attachment; filename*=utf-8''talk.{name}"
        )
    page = client.get(f"/api/jobs/{job['id']}/page.html")
    assert page.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert "talk.mp4" in page.text
    assert str(client.history.folder) not in page.text
    expected = predictor.predict(clip)["valence"].tolist()
    for table in (
        pd.read_parquet(folder / "table.parquet"),
        pd.read_csv(folder / "table.csv"),
        pd.read_excel(folder / "table.xlsx"),
    ):
        assert table["valence"].tolist() == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert set(table["clip"]) == {"talk.mp4"}
    told = json.loads(
        pyarrow.parquet.read_metadata(folder / "table.parquet").metadata[b"triaffect"]
    )
    assert str(client.history.folder) not in json.dumps(told)


def test_pictures_of_people_can_be_left_out(client, clip):
    for pictures in (True, False):
        job = run(client, clip.read_bytes(), pictures=pictures)
        page = client.get(f"/api/jobs/{job['id']}/page.html").text
        assert ("image/jpeg" in page) is pictures


def test_a_picture_has_an_annotated_copy(client):
    job = run(client, jpeg(), "a.jpg", annotate=True)
    assert "annotated.png" in job["files"]
    assert client.get(f"/api/jobs/{job['id']}/annotated.png").content.startswith(b"\x89PNG")


def test_a_failed_job_says_why_under_its_own_name(client):
    job = run(client, b"words" * 99, "x.mp4")
    assert (job["state"], job["files"]) == ("failed", [])
    assert "expected a media file" in job["error"]["message"]
    assert str(client.history.folder) not in json.dumps(job)


def test_the_list_comes_only_when_it_has_changed(client):
    first = client.get("/api/jobs").json()
    assert client.get("/api/jobs", params={"version": first["version"]}).status_code == 204
    job = run(client, jpeg(), "a.jpg")
    second = client.get("/api/jobs", params={"version": first["version"]}).json()
    assert [each["id"] for each in second["jobs"]] == [job["id"]]
    client.delete(f"/api/jobs/{job['id']}")
    third = client.get("/api/jobs", params={"version": second["version"]}).json()
    assert third["jobs"] == []


def test_deleting_is_deleting(client, clip):
    jobs = [run(client, clip.read_bytes()) for _ in range(2)]
    assert client.delete(f"/api/jobs/{jobs[0]['id']}").status_code == 204
    assert [path.name for path in left(client.history.folder)] == [jobs[1]["id"]]
    refusal(client.get(f"/api/jobs/{jobs[0]['id']}/table.csv"), 404, "not_found")
    refusal(client.delete(f"/api/jobs/{jobs[0]['id']}"), 404, "not_found")
    assert client.delete("/api/jobs").status_code == 204
    assert left(client.history.folder) == []


def test_a_job_that_waits_or_runs_is_cancelled_or_deleted(client, tmp_path):
    content = write_clip(tmp_path / "long.mp4", 4500, sound=False).read_bytes()
    ids = []
    for _ in range(4):
        answer = client.post("/api/jobs", params={"name": "l.mp4"}, content=content)
        ids.append(answer.json()["id"])

    def state_of(id_):
        return client.history.entry(id_).state

    wait_until(lambda: client.history.entry(ids[0]).progress > 0)
    running = client.history.entry(ids[0])
    assert running.message.endswith("of 3:00")
    assert client.post(f"/api/jobs/{ids[2]}/cancel").json()["state"] == "cancelled"
    client.post(f"/api/jobs/{ids[0]}/cancel")
    wait_until(lambda: state_of(ids[0]) == "cancelled")
    assert {path.name for path in (client.history.folder / ids[0]).iterdir()} == {"job.json"}
    wait_until(lambda: state_of(ids[1]) == "running")
    for id_ in (ids[1], ids[3]):
        assert client.delete(f"/api/jobs/{id_}").status_code == 204
    assert {job["id"] for job in client.get("/api/jobs").json()["jobs"]} == {ids[0], ids[2]}
    wait_until(lambda: len(left(client.history.folder)) == 2)
    assert not list(client.history.folder.rglob("media"))


def test_what_a_killed_server_had_not_done_is_done_by_the_next(predictor, tmp_path, clip):
    history = History(tmp_path / "h")
    made = {}
    for kind in ("running", "waiting", "deleted", "program", "uploading", "done"):
        entry = history.add(f"{kind}.mp4", JobOptions(), is_listed=kind != "program")
        history.media(entry.id).write_bytes(clip.read_bytes())
        made[kind] = entry.id
        if kind != "uploading":
            state = JobState(kind) if kind in ("waiting", "deleted", "done") else JobState.RUNNING
            history.update(entry, state=state)
    with pytest.raises(DiskError, match="another that runs"):
        History(tmp_path / "h")
    history.close()
    state = make_state(predictor, tmp_path / "h")
    with TestClient(create_app(state), base_url="http://127.0.0.1"):
        wait_until(lambda: all(entry.state in ENDED for entry in state.history.entries()))
        done = {entry.id: entry.rows for entry in state.history.entries()}
    assert done == {made["running"]: 40, made["waiting"]: 40, made["done"]: 0}
    assert {path.name for path in left(tmp_path / "h")} == set(done)


def test_a_job_that_runs_when_the_server_ends_waits_for_the_next(predictor, tmp_path):
    content = write_clip(tmp_path / "long.mp4", 1200, sound=False).read_bytes()
    state = make_state(predictor, tmp_path / "h")
    with TestClient(create_app(state), base_url="http://127.0.0.1") as client:
        id_ = client.post("/api/jobs", params={"name": "l.mp4"}, content=content).json()["id"]
        wait_until(lambda: state.history.entry(id_).progress > 0)
    history = History(tmp_path / "h")
    assert [(entry.id, entry.state) for entry in history.entries()] == [(id_, "waiting")]
    assert history.media(id_).read_bytes() == content
    history.close()


def test_a_folder_with_something_else_is_refused_and_left(tmp_path):
    job = tmp_path / "h" / "holiday" / "job.json"
    job.parent.mkdir(parents=True)
    job.write_text('{"id": "x"}')
    strange = tmp_path / "h" / ("0" * 16) / "letter.txt"
    strange.parent.mkdir()
    strange.write_text("dear")
    with pytest.raises(TableError, match="choose another folder"):
        History(tmp_path / "h")
    assert job.read_text() == '{"id": "x"}'
    job.unlink()
    History(tmp_path / "h").close()
    assert strange.read_text() == "dear"
    History(tmp_path / "other").close()


def test_excel_takes_no_formula_and_no_more_rows_than_it_has(client, monkeypatch):
    job = run(client, jpeg(), "=1+2.jpg")
    path = client.history.folder / job["id"] / "table.xlsx"
    assert client.get(f"/api/jobs/{job['id']}/table.xlsx").status_code == 200
    sheet = openpyxl.load_workbook(path).active
    assert (sheet["A2"].data_type, sheet["A2"].value) == ("s", "'=1+2.jpg")
    path.unlink()
    monkeypatch.setattr(history_module, "MOST_ROWS", 0)
    refusal(client.get(f"/api/jobs/{job['id']}/table.xlsx"), 413, "too_long")

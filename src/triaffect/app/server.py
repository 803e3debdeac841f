"""The server: the page, its jobs, live over a WebSocket, and REST for programs.

Every answer that is an error has one body, ``{"error": {...}}``, as
`triaffect.app.jobs.describe_error` makes it. Hosts, origins and the token are checked by `Guard`,
before any of the rest.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from anyio import CancelScope
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from triaffect.app.history import (
    ENDED,
    FILES,
    History,
    HistoryEntry,
    JobOptions,
    JobState,
    RequestError,
)
from triaffect.app.jobs import JobQueue, Limits, describe_error
from triaffect.app.live import RATE, LiveSession
from triaffect.app.openapi import describe_interface
from triaffect.errors import TriaffectError
from triaffect.media.find import MEDIA
from triaffect.prediction.predictor import Predictor
from triaffect.report.prediction_page import MEANING, panels
from triaffect.version import __version__

COOKIE = "triaffect_token"
STATIC = {
    "app.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "sound.js": "text/javascript; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
}
_LOCAL = ("127.0.0.1", "localhost", "[::1]")
_CHUNK = 2**20
_IDLE_S = 60.0
"""A client that sends nothing for so long is gone."""
_MOST_UPLOADS, _MOST_LIVE = 16, 2
_MOST_ANSWERS_WAITING = 8
_FRAME, _SOUND = 1, 2
"""First byte of a message of the live WebSocket."""
_HEAD = struct.Struct("<Bd")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self' ws: wss:; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_REPORT_POLICY = "sandbox allow-scripts allow-popups allow-downloads"


@dataclass
class AppState:
    """What the routes share.

    Attributes:
        history: The folder.
        predictor: The model.
        limits: What is taken on.
        is_stored: Whether the history outlives the program.
        queue: The jobs.
        uploads: Files that are being received.
        live: Cameras that are being predicted.
    """

    history: History
    predictor: Predictor
    limits: Limits = field(default_factory=Limits)
    is_stored: bool = False
    queue: JobQueue = field(init=False)
    uploads: int = 0
    live: int = 0

    def __post_init__(self) -> None:
        self.queue = JobQueue(self.history, self.predictor, self.limits)


class Guard:
    """Lets through what comes from this page or a program that may: host, origin, token.

    Args:
        app: What is guarded.
        hosts: Hosts, without ports, by which the server may be called; empty for any, which
            needs a token.
        token: What every request must bring, as ``Authorization: Bearer`` or, from the page, as a
            cookie; empty for nothing.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] = _LOCAL, token: str = "") -> None:
        self._app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        try:
            self._check_host(headers)
            if (answer := self._sign_in(scope)) is None:
                self._check_token(headers, scope["path"])
        except RequestError as error:
            answer = error_response(error)
        if answer is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "not allowed"})
        else:
            await answer(scope, receive, _with_headers(send))

    def _check_host(self, headers: Mapping[str, str]) -> None:
        """Refuse another page's requests, and names that somebody else's DNS made of us."""
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if self._hosts and name.lower() not in self._hosts:
            expected = f"the host {self._hosts[0]}"
            raise RequestError(403, "wrong_host", expected, name[:80] or "none")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise RequestError(403, "wrong_origin", "a request of this page", origin[:80])

    def _sign_in(self, scope: Scope) -> Response | None:
        """Exchange a token in the page's address for a cookie, so that no address shows it."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        if scope["type"] != "http" or scope["path"] != "/" or "token" not in query:
            return None
        if not self._is_token(query["token"][0]):
            raise _token_error("another token")
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, query["token"][0], httponly=True, samesite="strict")
        return answer

    def _check_token(self, headers: Mapping[str, str], path: str) -> None:
        if not self._token or path == "/health":
            return
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            cookies = (each.partition("=") for each in headers.get("cookie", "").split(";"))
            token = next((value for name, _, value in cookies if name.strip() == COOKIE), "")
        if not self._is_token(token.strip()):
            raise _token_error("none" if not token else "another token")

    def _is_token(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())


def _token_error(got: str) -> RequestError:
    remedy = "send Authorization: Bearer TOKEN, or open /?token=TOKEN in a browser"
    return RequestError(401, "no_token", "the app's token", got, remedy)


def _with_headers(send: Send) -> Send:
    """Add to every answer what keeps other pages out of it; an answer's own policy stays."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            names = {name for name, _ in headers}
            for name, value in (
                (b"content-security-policy", _POLICY.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"referrer-policy", b"no-referrer"),
                (b"cross-origin-resource-policy", b"same-origin"),
                (b"cache-control", b"no-store"),
            ):
                if name not in names:
                    headers.append((name, value))
            message = {**message, "headers": headers}
        await send(message)

    return send_with_headers


def error_response(error: Exception, path: Path = Path("media"), name: str = "") -> JSONResponse:
    """Make the one body that every error has.

    Args:
        error: What went wrong.
        path: A path that it may name, and must not show.
        name: What to show in its stead.
    """
    described = describe_error(error, path, name)
    return JSONResponse({"error": described}, int(described["status"]))


async def _answer_error(request: Request, error: Exception) -> Response:
    del request
    if isinstance(error, HTTPException):
        codes = {404: "not_found", 405: "wrong_method"}
        expected = "an address and method of /openapi.json"
        error = RequestError(
            error.status_code, codes.get(error.status_code, "refused"), expected, error.detail
        )
    return error_response(error)


def create_app(state: AppState, hosts: tuple[str, ...] = _LOCAL, token: str = "") -> ASGIApp:
    """Make the application.

    Args:
        state: What its routes share; closed when the application ends.
        hosts: As those of `Guard`.
        token: As that of `Guard`.

    Returns:
        An ASGI application.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        yield
        await run_in_threadpool(state.queue.close)
        state.history.close()

    routes = [
        Route("/", _show_page),
        Route("/static/{name}", _show_static),
        Route("/health", _show_health),
        Route("/openapi.json", _show_interface),
        Route("/predict", _predict, methods=["POST"]),
        Route("/api/state", _show_state),
        Route("/api/jobs", _list_jobs, methods=["GET"]),
        Route("/api/jobs", _add_job, methods=["POST"]),
        Route("/api/jobs", _delete_all, methods=["DELETE"]),
        Route("/api/jobs/{id}", _delete_job, methods=["DELETE"]),
        Route("/api/jobs/{id}/cancel", _cancel_job, methods=["POST"]),
        Route("/api/jobs/{id}/{name}", _download),
        WebSocketRoute("/live", _watch_live),
    ]
    handlers: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        TriaffectError: _answer_error,
        HTTPException: _answer_error,
        Exception: _answer_error,
    }
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    app.state.shared = state
    return Guard(app, hosts, token)


def _shared(request: Request | WebSocket) -> AppState:
    state: AppState = request.app.state.shared
    return state


@cache
def _web_file(name: str) -> bytes:
    return (files("triaffect.app") / "web" / name).read_bytes()


async def _show_page(request: Request) -> Response:
    del request
    return Response(_web_file("index.html"), media_type="text/html; charset=utf-8")


async def _show_static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        raise HTTPException(404)
    return Response(_web_file(name), media_type=STATIC[name])


async def _show_health(request: Request) -> Response:
    state = _shared(request)
    entries = state.history.entries()
    running = sum(entry.state is JobState.RUNNING for entry in entries)
    status = {"status": "ok", "version": __version__, "running": running, "live": state.live}
    return JSONResponse(status)


async def _show_interface(request: Request) -> Response:
    return JSONResponse(describe_interface(_shared(request).limits))


async def _show_state(request: Request) -> Response:
    """What the page needs to draw itself."""
    state = _shared(request)
    predictor = state.predictor
    manifest, limits = predictor.manifest, state.limits
    return JSONResponse(
        {
            "version": __version__,
            "model": f"{manifest.name} {manifest.version}",
            "licence": manifest.licence,
            "meaning": MEANING,
            "is_stored": state.is_stored,
            "limits": {"size": limits.size, "length_s": limits.length_s},
            "endings": sorted(MEDIA),
            "tasks": [task.label for task in predictor.tasks],
        }
    )


async def _list_jobs(request: Request) -> Response:
    """List the jobs; nothing where the page has them as they are."""
    history = _shared(request).history
    version = str(history.version)  # before the entries: a change in between comes next time
    if request.query_params.get("version") == version:
        return Response(status_code=204)
    jobs = [_shown(entry) for entry in history.entries()]
    return JSONResponse({"version": version, "jobs": jobs})


def _shown(entry: HistoryEntry) -> dict[str, Any]:
    return {**entry.model_dump(mode="json"), "ended": entry.state in ENDED}


async def _add_job(request: Request) -> Response:
    """Take a file of the page."""
    state = _shared(request)
    query = dict(request.query_params)
    name = query.pop("name", "unnamed")
    entry = await _receive(request, state, name, _options(query), is_listed=True)
    try:
        entry = state.queue.submit(entry)
    except RequestError:
        state.history.remove(entry)
        raise
    return JSONResponse(_shown(entry), 201)


def _options(query: Mapping[str, str]) -> JobOptions:
    """Read the options of a job.

    Raises:
        RequestError: There is no such option, or its value cannot be.
    """
    try:
        return JobOptions.model_validate(dict(query))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        expected = first["msg"].removeprefix("Input should be ")
        if first["type"] == "extra_forbidden":
            expected = f"one of the options {', '.join(JobOptions.model_fields)}"
            raise RequestError(400, "bad_option", expected, name[:80]) from error
        got = repr(first["input"])[:80]
        raise RequestError(400, "bad_option", f"{name}: {expected}", got, where=name) from error


async def _receive(
    request: Request, state: AppState, name: str, options: JobOptions, *, is_listed: bool
) -> HistoryEntry:
    """Write the body of a request into the folder of a new job, or leave nothing.

    Raises:
        RequestError: It is too large, or too slow, empty, a web form, or one too many.
        ClientDisconnect: The client has gone.
    """
    limit = state.limits.size
    state.queue.check_room()
    if request.headers.get("content-type", "").startswith("multipart/"):
        remedy = "send the file itself: curl --data-binary @FILE"
        raise RequestError(415, "wrong_body", "a file as the body", "a multipart form", remedy)
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit, f"{int(length)} bytes")
    if state.uploads >= _MOST_UPLOADS:
        expected = f"at most {_MOST_UPLOADS} uploads at once"
        raise RequestError(503, "busy", expected, "one more", "try again in a while")
    entry = state.history.add(name, options, is_listed=is_listed)
    state.uploads += 1
    try:
        size = await _write_body(request, state.history.media(entry.id), limit)
        if not size:
            raise RequestError(400, "empty", "a file as the body", "0 bytes")
    except BaseException:
        state.history.remove(entry)
        raise
    finally:
        state.uploads -= 1
    return entry.model_copy(update={"size": size})


async def _write_body(request: Request, path: Path, limit: int) -> int:
    """Write the body in large pieces, each in a thread; return how many bytes it has."""
    size, waiting = 0, bytearray()
    stream = request.stream()
    with path.open("wb") as file:
        while True:
            try:
                chunk = await asyncio.wait_for(anext(stream, None), _IDLE_S)
            except TimeoutError as error:
                expected, got = f"some bytes every {_IDLE_S:g} s", "none"
                raise RequestError(408, "too_slow", expected, got) from error
            if chunk is None:
                break
            size += len(chunk)
            if size > limit:
                raise _too_large(limit, "more")
            waiting += chunk
            if len(waiting) >= _CHUNK:
                await run_in_threadpool(file.write, waiting)
                waiting = bytearray()
        file.write(waiting)
    return size


def _too_large(limit: int, got: str) -> RequestError:
    remedy = "send a part of it, or start the app with a larger --max-size"
    return RequestError(413, "too_large", f"a file of at most {limit} bytes", got, remedy)


async def _cancel_job(request: Request) -> Response:
    state = _shared(request)
    entry = state.history.entry(request.path_params["id"])
    await run_in_threadpool(state.queue.cancel, entry)
    return JSONResponse(_shown(state.history.entry(entry.id)))


async def _delete_job(request: Request) -> Response:
    state = _shared(request)
    entry = state.history.entry(request.path_params["id"])
    await run_in_threadpool(state.queue.cancel, entry, JobState.DELETED)
    return Response(status_code=204)


async def _delete_all(request: Request) -> Response:
    state = _shared(request)
    for entry in state.history.entries():
        await run_in_threadpool(state.queue.cancel, entry, JobState.DELETED)
    return Response(status_code=204)


async def _download(request: Request) -> Response:
    """Send a file of a job; the page of a report is shown, anything else saved."""
    state, name = _shared(request), request.path_params["name"]
    entry = state.history.entry(request.path_params["id"])
    path = await run_in_threadpool(state.history.download, entry, name)
    headers = {"content-security-policy": _REPORT_POLICY} if name == "page.html" else {}
    if name != "page.html" or "save" in request.query_params:
        stem = Path(entry.name).stem or "table"
        shown = quote(f"{stem}.{name}", safe="")
        headers["content-disposition"] = f"attachment; filename*=utf-8''{shown}"
    return FileResponse(path, media_type=FILES[name], headers=headers)


async def _predict(request: Request) -> Response:
    """Predict one file of a program; nothing of it stays."""
    state = _shared(request)
    query = dict(request.query_params)
    name, kind = query.pop("name", "file"), query.pop("format", "")
    kind = kind or ("csv" if "text/csv" in request.headers.get("accept", "") else "json")
    if kind not in ("json", "csv"):
        raise RequestError(400, "bad_option", "the format json or csv", kind[:80])
    options = _options(query)
    entry = await _receive(request, state, name, options, is_listed=False)
    try:
        entry = state.queue.submit(entry)
        entry = await _wait_for(request, state, entry)
    except BaseException:
        _drop(state, entry)
        raise
    if entry.error is not None:
        _drop(state, entry)
        return JSONResponse({"error": entry.error}, int(entry.error["status"]))
    if kind == "csv":
        return StreamingResponse(_csv_lines(state, entry), media_type="text/csv; charset=utf-8")
    return StreamingResponse(_json_parts(state, entry), media_type="application/json")


async def _wait_for(request: Request, state: AppState, entry: HistoryEntry) -> HistoryEntry:
    """Wait for a job to end, as long as its client does.

    Raises:
        ClientDisconnect: The client has gone.
        RequestError: The job was cancelled, because the app is ending.
    """
    started_s = time.monotonic()
    while (entry := state.history.entry(entry.id)).state not in ENDED:
        if await request.is_disconnected():
            raise ClientDisconnect
        # short requests are looked at often, long ones seldom
        await asyncio.sleep(min(0.5, 0.01 + 0.05 * (time.monotonic() - started_s)))
    if entry.state is JobState.CANCELLED:
        raise RequestError(503, "closing", "a job that ends", "one that was cancelled")
    return entry


def _drop(state: AppState, entry: HistoryEntry) -> None:
    """Remove a program's job from the disk, at once or when it stops."""
    try:
        state.history.entry(entry.id)
    except RequestError:
        state.history.remove(entry)
        return
    state.queue.cancel(entry, JobState.DELETED)


def _csv_lines(state: AppState, entry: HistoryEntry) -> Iterator[bytes]:
    try:
        with state.history.download(entry, "table.csv").open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    finally:
        _drop(state, entry)


def _json_parts(state: AppState, entry: HistoryEntry) -> Iterator[str]:
    """Yield the answer to a program piece by piece, so that a long table is not in memory."""
    try:
        head = {"name": entry.name, "rows": entry.rows, "remark": entry.message}
        head |= {"duration_s": entry.duration_s, "metadata": state.predictor.metadata}
        yield json.dumps(head, ensure_ascii=False, default=str)[:-1] + ', "table": ['
        comma = ""
        for rows in state.history.rows(entry):
            texts = (json.dumps(row, ensure_ascii=False) for row in rows.to_pylist())
            yield comma + ",\n".join(texts)
            comma = ",\n"
        yield "]}\n"
    finally:
        _drop(state, entry)


async def _watch_live(socket: WebSocket) -> None:
    """Answer a browser's camera and microphone until it goes."""
    state = _shared(socket)
    await socket.accept()
    if state.live >= _MOST_LIVE:
        text = f"at most {_MOST_LIVE} cameras at once; close the other page"
        await socket.send_json({"type": "error", "message": text})
        await socket.close(1013)
        return
    state.live += 1
    answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def add_answer(answer: dict[str, Any]) -> None:
        if answers.qsize() < _MOST_ANSWERS_WAITING or answer["type"] != "answer":
            answers.put_nowait(answer)

    def on_answer(answer: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(add_answer, answer)

    session = LiveSession(state.predictor, on_answer, state.limits.length_s)
    sender = asyncio.create_task(_send_answers(socket, answers))
    try:
        await socket.send_json(_live_head(state.predictor))
        await _take_messages(socket, state, session, on_answer)
    except (WebSocketDisconnect, RuntimeError, TimeoutError):
        pass
    except RequestError as error:
        await socket.send_json({"type": "error", "message": str(error)})
        await socket.close(1007)
    finally:
        state.live -= 1
        sender.cancel()
        with CancelScope(shield=True):  # also where the server ends, a recording is finished
            await run_in_threadpool(session.close)


def _live_head(predictor: Predictor) -> dict[str, Any]:
    """What a live page draws, and at what rate it sends the sound."""
    drawn = panels(predictor.tasks, predictor.manifest.outputs)
    by_title = {task.label: task.columns for task in predictor.tasks}
    for panel in drawn:
        panel["columns"] = [by_title[panel["title"]][k] for k in panel["slots"]]
    return {"type": "head", "rate": RATE, "panels": drawn, "thresholds": predictor.thresholds}


async def _send_answers(socket: WebSocket, answers: asyncio.Queue[dict[str, Any]]) -> None:
    while True:
        await socket.send_json(await answers.get())


async def _take_messages(
    socket: WebSocket,
    state: AppState,
    session: LiveSession,
    on_answer: Callable[[dict[str, Any]], None],
) -> None:
    """Hand frames and sound to the session; texts begin and end a recording."""
    recording: HistoryEntry | None = None
    while True:
        message = await asyncio.wait_for(socket.receive(), _IDLE_S)
        if message["type"] == "websocket.disconnect":
            return
        content: bytes | None = message.get("bytes")
        if content is None:
            wish = (message.get("text") or "")[:_CHUNK]
            if wish == "record" and recording is None:
                recording = _begin_recording(state, session, on_answer)
            elif wish == "stop":
                session.stop_recording()
                recording = None
            continue
        if len(content) < _HEAD.size:
            raise RequestError(400, "bad_message", "a frame or a sound", "a shorter message")
        kind, time_s = _HEAD.unpack_from(content)
        if kind == _FRAME:
            session.add_frame(time_s, content[_HEAD.size :])
        elif kind == _SOUND:
            session.add_sound(time_s, content[_HEAD.size :])


def _begin_recording(
    state: AppState, session: LiveSession, on_answer: Callable[[dict[str, Any]], None]
) -> HistoryEntry:
    """Record into a job of the history, which is predicted when the recording ends."""
    name = time.strftime("recording %Y-%m-%d %H.%M.%S")
    entry = state.history.add(name, JobOptions(), is_recording=True)
    path = state.history.media(entry.id)

    def on_end(problem: Exception | None) -> None:
        try:
            if problem is not None:
                raise problem
            state.queue.submit(entry.model_copy(update={"size": path.stat().st_size}))
        except Exception as error:  # a full disk, a full queue, an encoder that fails
            state.history.remove(entry)
            message = describe_error(error, path, name)["message"]
            on_answer({"type": "error", "message": f"the recording: {message}"})
        else:
            on_answer({"type": "recorded", "name": name})

    session.record(path, on_end)
    return entry

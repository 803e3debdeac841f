"""A server of the app for tests: in this process, on a port of its own."""

import threading
import time
from contextlib import contextmanager

import uvicorn

from triaffect.app.history import History
from triaffect.app.server import AppState, create_app


def make_state(predictor, folder, **options):
    return AppState(History(folder), predictor, **options)


@contextmanager
def serve(state, hosts=("127.0.0.1", "localhost"), token=""):
    """The application on a real port; gives the address."""
    app = create_app(state, hosts, token)
    config = uvicorn.Config(
        app, port=0, log_level="error", ws="websockets-sansio", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


def wait_until(check, seconds=180):
    """What a check gives once that is true of something."""
    until = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < until, "never true"
        time.sleep(0.02)
    return value

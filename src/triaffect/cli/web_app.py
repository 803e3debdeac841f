"""``triaffect app``: a page in the browser, on this machine, and REST for programs."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
import threading
import webbrowser
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli._shared import Device, DeviceOption, note
from triaffect.errors import TriaffectError
from triaffect.io.durations import parse_duration

if TYPE_CHECKING:
    from triaffect.app.jobs import Limits
    from triaffect.app.server import AppState

APP_EXAMPLES = (
    "triaffect app --folder history",
    "triaffect app --host 0.0.0.0 --token AT-LEAST-SIXTEEN-CHARACTERS --no-browser",
)
TOKEN_VARIABLE = "TRIAFFECT_TOKEN"  # noqa: S105 - the variable's name
_LEAST_TOKEN = 16
_BYTES_OF_MB = 1_000_000
_DEFAULT_PORT = 8765
_LIMITS, _NETWORK = "Limits", "Network"
_LONGEST_S = 7 * 24 * 3600.0


def web_app(
    *,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Where the history stays; made if it is not there.",
            show_default="nothing stays when the program ends",
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model folder.", show_default="the shipped weights")
    ] = None,
    device: DeviceOption = Device.CPU,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open the page in a browser.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; any but this machine's own needs a token.",
            rich_help_panel=_NETWORK,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port; 0 takes a free one.", rich_help_panel=_NETWORK),
    ] = _DEFAULT_PORT,
    token: Annotated[
        str | None,
        typer.Option(
            help=f"What every request must bring, {_LEAST_TOKEN} characters at least.",
            show_default=f"{TOKEN_VARIABLE} of the environment",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    max_size: Annotated[
        float,
        typer.Option(min=0.001, metavar="MB", help="Largest file.", rich_help_panel=_LIMITS),
    ] = 2000.0,
    max_length: Annotated[
        str,
        typer.Option(metavar="TIME", help="Longest video or sound.", rich_help_panel=_LIMITS),
    ] = "4:00:00",
    max_work: Annotated[
        str,
        typer.Option(metavar="TIME", help="Longest work on a file.", rich_help_panel=_LIMITS),
    ] = "12:00:00",
) -> None:
    """Open a page to drop videos, pictures and sounds on, and to watch the webcam.

    It listens on this machine alone and works offline. Uploaded files are removed when their
    results are there; of the camera nothing is stored but what is recorded. Programs send files
    to /predict, described by /openapi.json. Ctrl-C ends it.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import uvicorn  # noqa: F401 - what is missing is said before anything else
    import websockets  # noqa: F401

    import triaffect.app.server  # noqa: F401
    from triaffect.app.jobs import Limits

    token = token if token is not None else os.environ.get(TOKEN_VARIABLE, "")
    is_local = _check_network(host, token)
    limits = Limits(
        size=round(max_size * _BYTES_OF_MB),
        length_s=parse_duration(max_length, "--max-length", most_s=_LONGEST_S),
        work_s=parse_duration(max_work, "--max-work", most_s=_LONGEST_S),
    )
    with ExitStack() as stack:
        listening = stack.enter_context(_listen(host, port))
        if (stored := folder) is None:
            made = tempfile.TemporaryDirectory(prefix="triaffect-app-")
            stored = Path(stack.enter_context(made))
        state = _open(stored, folder is not None, model, str(device), limits)
        address = f"http://{_shown_host(host)}:{listening.getsockname()[1]}/"
        page = f"{address}?token={token}" if token else address
        note(f"the page is at {address}{' with its token' if token else ''}; Ctrl-C ends it")
        if not no_browser:
            timer = threading.Timer(1.0, webbrowser.open, [page])
            timer.daemon = True
            timer.start()
        hosts = ("127.0.0.1", "localhost", "[::1]") if is_local else ()
        _serve(listening, state, hosts, token)


def _check_network(host: str, token: str) -> bool:
    """Check that nobody else can reach the app without a token.

    Returns:
        Whether it listens on this machine alone.

    Raises:
        TriaffectError: It is reachable from elsewhere without a token, or the token is short.
    """
    if token and (len(token) < _LEAST_TOKEN or not token.isascii() or set(token) & set(' ;,"\\')):
        expected = f"a token of at least {_LEAST_TOKEN} letters, digits or signs such as - _"
        raise TriaffectError(expected, "another", "make a longer one", where="--token")
    is_local = host == "localhost"
    with suppress(ValueError):
        is_local = is_local or ipaddress.ip_address(host).is_loopback
    if not is_local and not token:
        remedy = f"add --token, or set {TOKEN_VARIABLE}"
        raise TriaffectError(f"a token with --host {host}", "none", remedy, where="--token")
    return is_local


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104


def _listen(host: str, port: int) -> socket.socket:
    """Open the port before the model is loaded.

    Raises:
        TriaffectError: It is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere it would let two programs share the port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, UnicodeError) as error:
        listening.close()
        got = getattr(error, "strerror", None) or str(error)
        remedy = "choose another --port, or 0 for a free one"
        where = f"--host {host} --port {port}"
        raise TriaffectError(
            "an address and port that are free", got, remedy, where=where
        ) from error
    return listening


def _open(
    folder: Path, is_stored: bool, model: Path | None, device: str, limits: Limits
) -> AppState:
    """Load the model and open the history, whose waiting jobs go on.

    Args:
        folder: The history.
        is_stored: Whether it outlives the program.
        model: The model's folder; None for the shipped weights.
        device: Where its networks run.
        limits: What is taken on.
    """
    from triaffect.app.history import History
    from triaffect.app.server import AppState
    from triaffect.prediction.predictor import load

    predictor = load(model, device)
    return AppState(History(folder), predictor, limits, is_stored=is_stored)


def _serve(listening: socket.socket, state: AppState, hosts: tuple[str, ...], token: str) -> None:
    """Serve until Ctrl-C.

    Args:
        listening: The open port.
        state: What is served.
        hosts: Hosts by which the app may be called; empty for any.
        token: What every request must bring; empty for nothing.
    """
    import uvicorn

    from triaffect.app.server import create_app

    config = uvicorn.Config(
        create_app(state, hosts, token),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=2**22,
        timeout_keep_alive=30,
        limit_concurrency=256,
        timeout_graceful_shutdown=3,
        proxy_headers=False,
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])

"""Writing what a command found as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from triaffect.errors import TriaffectError


def need_place(path: Path) -> None:
    """See that a file can be written, before the work whose result it is to hold.

    Raises:
        TriaffectError: There is a folder of that name, or its folder cannot be written to.
    """
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir():
        raise TriaffectError("a file to write", "a folder", "add a file name", where=path)
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise TriaffectError("a folder that can be written to", "another", where=parent)


def write_json_file(path: Path, content: Any) -> None:  # noqa: ANN401 - anything JSON can say
    """Write indented JSON aside and rename it; folders are made as needed.

    Raises:
        TriaffectError: It cannot be written there.
    """
    aside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        aside.replace(path)
    except OSError as error:
        got = str(error.strerror)
        raise TriaffectError("a file that can be written", got, where=path) from error

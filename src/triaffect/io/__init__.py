"""Files, processes and threads; no word of the domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.io.atomic import (
        check_output,
        lock_folder,
        make_folder,
        replace_file,
        replace_folder,
        write_json,
        write_text,
    )
    from triaffect.io.durations import parse_duration
    from triaffect.io.plugins import Plugin, find_plugin, plugin_names
    from triaffect.io.records import parse_record
    from triaffect.io.workers import Cancelled, WorkerPool, count_cores

__all__ = [
    "Cancelled",
    "Plugin",
    "WorkerPool",
    "check_output",
    "count_cores",
    "find_plugin",
    "lock_folder",
    "make_folder",
    "parse_duration",
    "parse_record",
    "plugin_names",
    "replace_file",
    "replace_folder",
    "write_json",
    "write_text",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "atomic": [
            "check_output",
            "lock_folder",
            "make_folder",
            "replace_file",
            "replace_folder",
            "write_json",
            "write_text",
        ],
        "durations": ["parse_duration"],
        "plugins": ["Plugin", "find_plugin", "plugin_names"],
        "records": ["parse_record"],
        "workers": ["Cancelled", "WorkerPool", "count_cores"],
    },
)

"""Prediction tables: schema, post-processing, summary, metadata, files. They need no network."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triaffect.tables.interop import rename_columns
    from triaffect.tables.metadata import TableMetadata, read_metadata
    from triaffect.tables.postprocess import Postprocessing, postprocess_frame, summarize_frame
    from triaffect.tables.results import FileResult
    from triaffect.tables.schema import Instants, build_table, table_schema
    from triaffect.tables.smoothing import Smoothing

__all__ = [
    "FileResult",
    "Instants",
    "Postprocessing",
    "Smoothing",
    "TableMetadata",
    "build_table",
    "postprocess_frame",
    "read_metadata",
    "rename_columns",
    "summarize_frame",
    "table_schema",
]

_MODULES = {
    "FileResult": "triaffect.tables.results",
    "Instants": "triaffect.tables.schema",
    "Postprocessing": "triaffect.tables.postprocess",
    "Smoothing": "triaffect.tables.smoothing",
    "TableMetadata": "triaffect.tables.metadata",
    "build_table": "triaffect.tables.schema",
    "postprocess_frame": "triaffect.tables.postprocess",
    "read_metadata": "triaffect.tables.metadata",
    "rename_columns": "triaffect.tables.interop",
    "summarize_frame": "triaffect.tables.postprocess",
    "table_schema": "triaffect.tables.schema",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)

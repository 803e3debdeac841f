"""Prediction tables: schema, post-processing, summary, metadata, files. They need no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

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

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "interop": ["rename_columns"],
        "metadata": ["TableMetadata", "read_metadata"],
        "postprocess": ["Postprocessing", "postprocess_frame", "summarize_frame"],
        "results": ["FileResult"],
        "schema": ["Instants", "build_table", "table_schema"],
        "smoothing": ["Smoothing"],
    },
)

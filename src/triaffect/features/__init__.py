"""Runners of face and voice networks, and the store of what they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.features.extraction import ExtractionReport, extract
    from triaffect.features.model_folder import (
        Manifest,
        ModelFolder,
        load_model_folder,
        write_model_folder,
    )
    from triaffect.features.store import FeatureStore, StoredSource
    from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
    from triaffect.features.timeline import FileTimeline, MemoryTimeline, Timeline

__all__ = [
    "ExtractionReport",
    "FaceRows",
    "FeatureStore",
    "FileTimeline",
    "Manifest",
    "MemoryTimeline",
    "ModelFolder",
    "SourceInfo",
    "StoreWriter",
    "StoredSource",
    "Timeline",
    "extract",
    "load_model_folder",
    "write_model_folder",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "extraction": ["ExtractionReport", "extract"],
        "model_folder": ["Manifest", "ModelFolder", "load_model_folder", "write_model_folder"],
        "store": ["FeatureStore", "StoredSource"],
        "store_writer": ["FaceRows", "SourceInfo", "StoreWriter"],
        "timeline": ["FileTimeline", "MemoryTimeline", "Timeline"],
    },
)

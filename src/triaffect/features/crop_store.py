"""Run a face network over the crops that a feature store keeps.

Finding faces is most of an extraction, and does not depend on the network: with a new network,
the crops of one earlier extraction spare the search of every picture again.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from triaffect.errors import ModelError, StoreError
from triaffect.features.extraction import ExtractionProgress, ExtractionReport, copy_networks
from triaffect.features.extractors.onnx import GRAY_INPUTS, GRAY_SIDE, OnnxFace
from triaffect.features.extractors.registry import face_extractor, voice_extractor
from triaffect.features.store import DESCRIPTION, FeatureStore, StoredSource
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.tasks.registry import available_tasks
from triaffect.types import Moments


def is_store(path: Path) -> bool:
    """Tell whether a folder is a feature store."""
    return (path / DESCRIPTION).is_file()


def extract_from_crops(
    crops: Path,
    store_path: Path,
    face: str,
    voice: str,
    progress: ExtractionProgress = lambda done, total, source: None,
) -> ExtractionReport:
    """Extract every source of a store of crops that another store does not have yet.

    Rows, labels and what is known of the sources are those of an extraction of the media with
    the same face network: its input is what was stored.

    Args:
        crops: A store of gray crops, made with ``--face gray64`` or ``gray64_close``.
        store_path: The store; made if it is missing, else added to.
        face: A model folder with a face network that takes such crops, or "default".
        voice: Voice extractor of the store, by name. No sound is read here: with one, sources
            that may have sound are refused.
        progress: Told after each source.

    Returns:
        What was done.

    Raises:
        ModelError: There is no such extractor, it takes no gray crops, or does not work.
        StoreError: The first store has no crops, a source of it may have sound, or the second
            store is of other extractors.
        DiskError: There is no room for the rows.
    """
    started = time.monotonic()
    crop_store = FeatureStore.open(crops)
    network, voices = face_extractor(face), voice_extractor(voice)
    shown = crop_store.face_spec.name if crop_store.face_spec else "no faces"
    if shown not in GRAY_INPUTS:
        remedy = "make it with 'triaffect extract CORPUS --face gray64 --output STORE'"
        raise StoreError("a store of gray64 crops", shown, remedy, where=crops)
    if not isinstance(network, OnnxFace) or network.gray != shown:
        raise ModelError(f"a face network of {shown} crops", f"--face {face}", "name its folder")
    with_sound = [
        entry.source
        for entry in crop_store.entries
        if entry.kind != "images" or len(entry.files) > 1
    ]
    if voices is not None and with_sound:
        got = f"{len(with_sound)} sources that may have sound, such as {with_sound[0]}"
        remedy = "extract their media, or give --voice none"
        raise StoreError("crops of pictures alone beside a voice", got, remedy, where=crops)
    report = ExtractionReport()
    specs = network.spec, voices.spec if voices else None
    with StoreWriter.create_or_resume(store_path, *specs, available_tasks()) as writer:
        copy_networks((network, voices), store_path)
        for done, entry in enumerate(crop_store.entries, 1):
            if writer.has(entry.source):
                report.there += 1
            else:
                added = _add(entry, crop_store, network, writer)
                report.added += 1
                report.faces += added.face[1] - added.face[0]
                report.moments += added.moments[1] - added.moments[0]
            progress(done, len(crop_store.entries), entry.source)
    report.seconds = time.monotonic() - started
    return report


def _add(
    entry: StoredSource, crop_store: FeatureStore, network: OnnxFace, writer: StoreWriter
) -> StoredSource:
    """Compute the rows of one source and add it with its labels."""
    rows = slice(*entry.face)
    crops = np.asarray(crop_store.face[rows]).reshape(-1, GRAY_SIDE, GRAY_SIDE)
    keys = np.empty(len(crops), KEY_DTYPE)
    keys["track"], keys["frame"] = crop_store.face_track[rows], crop_store.face_frame[rows]
    keys["time_s"] = crop_store.face_time_s[rows]
    info = SourceInfo(
        entry.source,
        entry.corpus,
        entry.kind,
        entry.stills,
        entry.frame_rate,
        entry.files,
        entry.problem,
    )
    first, end = entry.moments
    labels = Moments(crop_store.moments.table.slice(first, end - first))
    return writer.add(info, labels, FaceRows(network.read_gray(crops), keys))

"""What is told about a table: what made it, how, what its columns mean, what it may be used for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from triaffect.features.model_folder import DESCRIPTION, file_hash, read_manifest
from triaffect.tables import baseline, smoothing
from triaffect.tables.interop import renamed_notes
from triaffect.tasks.task import Task
from triaffect.version import __version__

if TYPE_CHECKING:
    from triaffect.tables.postprocess import TableForm

_POINTS = {
    "left_eye": "left eye",
    "right_eye": "right eye",
    "nose": "tip of the nose",
    "mouth_left": "left corner of the mouth",
    "mouth_right": "right corner of the mouth",
}
_NOTES = {
    "clip": "the path as given",
    "frame": "number of the frame in the order shown, from 0",
    "time_s": "seconds from the start, the file's own time",
    "face_id": "number of the face's track within the clip, from 0; blank without a face",
    "box_x": "left edge of the face in pixels of the upright frame",
    "box_y": "upper edge of the face in pixels",
    "box_w": "width of the face in pixels",
    "box_h": "height of the face in pixels",
    "detection": "how sure the face detector is, 0 to 1",
    **{
        f"{point}_{axis}": f"place of the {words}, left as seen in the picture, in pixels"
        for point, words in _POINTS.items()
        for axis in "xy"
    },
    "head_yaw_deg": "about how far the head is turned to the right side of the picture, degrees",
    "head_pitch_deg": "about how far it looks up, degrees",
    "head_roll_deg": "about how far it leans clockwise as one sees it, degrees",
    "face_px": "shorter side of the face's box in pixels",
    "sharpness": "log variance of the Laplacian over that of the gray levels, about -1 if sharp",
    "face_seen": "a face was found in this frame",
    "voice_heard": "a voice could be heard around this moment; it belongs to the clip, to no face",
}


def about_run(
    model: Path, options: Mapping[str, Any], tasks: Sequence[Task], missing: Sequence[Any]
) -> dict[str, Any]:
    """What is told about a table of predictions.

    Args:
        model: The model folder.
        options: What was asked for, as JSON takes it.
        tasks: What was predicted, with the thresholds from which a column counts as present.
        missing: The inputs that are not wholly in the table, as
            `triaffect.tables.results.problems` tells them.
    """
    return {
        "tool": "triaffect",
        "version": __version__,
        "model": describe_model(model),
        "options": dict(options),
        "thresholds": {name: float(level) for name, level in _thresholds(tasks).items()},
        "problems": list(missing),
    }


def describe_model(model: Path) -> dict[str, Any]:
    """Name, version, hash, licence and label origins of the model in a folder.

    Raises:
        ModelError: Its description is missing or damaged.
    """
    path = model / DESCRIPTION
    manifest = read_manifest(json.loads(path.read_text("utf-8")), path)
    return {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": file_hash(path),
        "licence": manifest.licence,
        "label_origins": dict(manifest.label_origins),
    }


def column_notes(schema: pa.Schema, form: TableForm, tasks: Sequence[Task]) -> dict[str, str]:
    """What each column means, by name; one that nothing is known of is left out."""
    notes = _NOTES | _task_notes(tasks)
    if form.columns:
        notes |= renamed_notes(form.columns, tasks)
    how = f"smoothed, {form.smooth}"
    above = f"minus the median of the face's first {form.baseline_s or 0:g} s"
    for name in tuple(notes):
        notes[name + smoothing.SUFFIX] = f"{name} {how}"
        notes[name + baseline.SUFFIX] = f"{name} {above}"
    return {name: notes[name] for name in schema.names if name in notes}


def _thresholds(tasks: Sequence[Task]) -> dict[str, float]:
    return {name: level for task in tasks for name, level in task.present_from.items()}


def _task_notes(tasks: Sequence[Task]) -> dict[str, str]:
    notes = {}
    for task in tasks:
        low, high = task.display_range
        for name in task.prediction_columns:
            notes[name] = f"{low:g} to {high:g}"
            if name not in task.columns:
                notes[name] = "the most probable class"
            elif task.exclusive:
                notes[name] = "probability of the class; those of all classes sum to 1"
        for name, level in task.present_from.items():
            text = f"probability that it is present, no intensity; present from {level:g} on"
            notes[name] = text
    return notes

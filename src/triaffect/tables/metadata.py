"""Metadata of a table: the model and options that made it, and what its columns mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from triaffect.errors import TableError
from triaffect.features.model_folder import (
    DESCRIPTION,
    OutputValidity,
    file_hash,
    read_manifest,
)
from triaffect.io.records import parse_record
from triaffect.tables import baseline, smoothing
from triaffect.tables.interop import describe_columns
from triaffect.tables.results import meta_name
from triaffect.tasks.task import Task
from triaffect.version import __version__

if TYPE_CHECKING:
    from triaffect.tables.postprocess import Postprocessing

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
    "box_x": "left edge of the face in pixels of the frame as shown: upright, square pixels",
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
    "window_share": "share of the instants that the network looks at in which this face was seen, "
    "0 to 1; blank without a face",
}


@dataclass(frozen=True)
class ModelMetadata:
    """The model that made a table.

    Attributes:
        name: As its folder says.
        version: Likewise.
        sha256: Hash of ``model.json``, which holds the hashes of the networks.
        licence: What the weights may be used for.
        label_origins: Where the labels of each task came from, by its key.
        outputs: How far each output holds on real people, by column; nothing is said of others.
    """

    name: str
    version: str
    sha256: str
    licence: str
    label_origins: dict[str, str]
    outputs: dict[str, OutputValidity] = field(default_factory=dict)


@dataclass(frozen=True)
class ProblemMetadata:
    """An input not wholly in a table, or doubtful; see `triaffect.tables.results.problems`."""

    clip: str
    state: str
    rows: int
    problem: str


@dataclass(frozen=True)
class TableMetadata:
    """Metadata of a table: what stands in ``NAME.meta.json`` or among a Parquet file's metadata.

    Attributes:
        tool: "triaffect".
        version: That of the package.
        model: The model.
        options: Device, options of the prediction and of the table, by name.
        thresholds: Probability from which a column counts as present, by column.
        problems: Inputs that are not wholly in the table, or read doubtfully.
        columns: What each column means, by name; None for a summary.
    """

    tool: str
    version: str
    model: ModelMetadata
    options: dict[str, Any]
    thresholds: dict[str, float]
    problems: list[ProblemMetadata]
    columns: dict[str, str] | None = None


def describe_run(
    model: Path, options: Mapping[str, Any], tasks: Sequence[Task], missing: Sequence[Any]
) -> dict[str, Any]:
    """Describe how a table of predictions was made, but for its columns.

    Args:
        model: The model folder.
        options: Device, options of the prediction and of the table, as JSON takes them.
        tasks: What was predicted, with the thresholds from which a column counts as present.
        missing: The inputs that are not wholly in the table, as
            `triaffect.tables.results.problems` lists them.

    Returns:
        The fields of `TableMetadata` but ``columns``, as JSON takes them.

    Raises:
        ModelError: The model's description is missing or damaged.
    """
    return {
        "tool": "triaffect",
        "version": __version__,
        "model": describe_model(model),
        "options": dict(options),
        "thresholds": {name: level for task in tasks for name, level in task.present_from.items()},
        "problems": [dict(each) for each in missing],
    }


def read_metadata(table: Path) -> TableMetadata:
    """Read the metadata of a table that `triaffect predict` wrote, this version or 0.1.0.

    Args:
        table: The table: a Parquet file, or one with its ``.meta.json`` beside it.

    Returns:
        What was written with the table; an unknown key in it counts as damage.

    Raises:
        TableError: It has none, or they are damaged.
    """
    path, remedy = table, "predict again; a table is described by the file beside it"
    try:
        if table.suffix.lower() == ".parquet":
            import pyarrow.parquet  # noqa: PLC0415 - heavy

            schema = pyarrow.parquet.read_schema(table)
            text = (schema.metadata or {})[b"triaffect"].decode("utf-8")
        else:
            path = meta_name(table)
            text = path.read_text("utf-8")
        return parse_record(TableMetadata, json.loads(text), TableError, remedy, path)
    except (OSError, KeyError, ValueError, TableError, pa.ArrowException) as error:
        got = "none" if isinstance(error, (OSError, KeyError)) else "damaged ones"
        raise TableError("a table with its metadata", got, remedy, where=path) from error


def describe_model(model: Path) -> dict[str, Any]:
    """Read what a table's metadata say of the model in a folder.

    Args:
        model: The model folder; only its ``model.json`` is read.

    Returns:
        The fields of `ModelMetadata`, as JSON takes them.

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
        "outputs": {name: asdict(each) for name, each in manifest.outputs.items()},
    }


def column_notes(
    schema: pa.Schema,
    steps: Postprocessing,
    tasks: Sequence[Task],
    outputs: Mapping[str, OutputValidity] = MappingProxyType({}),
) -> dict[str, str]:
    """Describe what each column of a table means.

    Args:
        schema: Schema of the table as it is written.
        steps: How it was postprocessed: the source of smoothed, relative and renamed columns.
        tasks: What was predicted, with the thresholds from which a column counts as present.
        outputs: How far each of their columns holds on real people.

    Returns:
        Text by column name; a column without a note is left out.
    """
    notes = dict(_NOTES)
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
    for name in outputs.keys() & notes.keys():
        notes[name] += f"; {outputs[name].describe()}"
    if steps.columns:
        notes |= describe_columns(steps.columns, tasks)
    how = f"smoothed, {steps.smooth}"
    above = f"minus the median of the face's first {steps.baseline_s or 0:g} s"
    for name in tuple(notes):
        notes[name + smoothing.SUFFIX] = f"{name} {how}"
        notes[name + baseline.SUFFIX] = f"{name} {above}"
    return {name: notes[name] for name in schema.names if name in notes}

"""What stands beside the networks of a model folder: a card, a program, and inputs with answers.

The card (``CARD.md``) begins with the YAML head that model hubs read. The program (``example.py``)
predicts with the folder by NumPy, OpenCV and onnxruntime; ``golden.npz`` has a made picture and
sound, every step between, and the answers, so that a client in any language can be checked. Both
are written for models that the program can run: of faces in gray and voices as log-mel spectrum.
Nothing here needs torch.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.faces.alignment import TEMPLATE, align
from triaffect.features.extractors.onnx import GRAY_INPUTS, SPECTRA, LogMelRows, OnnxFace, OnnxVoice
from triaffect.features.extractors.registry import SHIPPED
from triaffect.features.model_folder import (
    DESCRIPTION,
    Manifest,
    ModelFolder,
    file_hash,
    to_json,
    write_model_folder,
)
from triaffect.io.atomic import replace_file
from triaffect.prediction.heads import Fusion
from triaffect.tasks.registry import TASKS
from triaffect.types import FloatArray
from triaffect.voice.log_mel import RATE

CARD, EXAMPLE, GOLDEN = "CARD.md", "example.py", "golden.npz"
_PICTURE = 96, 112
_SOUND_S = 1.6
_VOICE_ROW = 2
"""A row between two runs of the shipped voice network: one that is interpolated."""
_LEVELS = 32768
"""Levels of a sample on each side of silence."""
_HEAD = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)


def companion_files(
    manifest: Manifest,
    files: Mapping[str, bytes | Path],
    scores: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
) -> dict[str, bytes | Path]:
    """Make the files that stand beside a model's networks.

    Args:
        manifest: What the model is.
        files: Its networks, content or file by name.
        scores: Official scores of the model, by split, pool and name.

    Returns:
        Content by name: the card; and the program and its inputs and answers, if it can run the
        model.

    Raises:
        ModelError: The networks do not fit together.
    """
    result: dict[str, bytes | Path] = {CARD: make_card(manifest, [*files], scores or {}).encode()}
    if not _can_be_run(manifest):
        return result
    with tempfile.TemporaryDirectory(prefix="triaffect-") as temporary:
        networks = {part.file: files[part.file] for part in manifest.parts.values()}
        folder = write_model_folder(Path(temporary) / "model", manifest, networks)
        return result | _program_files(folder)


def add_companions(folder: ModelFolder) -> Manifest:
    """Write the program, its inputs and answers, and the head of the card into a model folder.

    The networks and the text of the card stay as they are.

    Args:
        folder: The folder, with the description that it is to have; it is written too.

    Returns:
        The description, with the new files' hashes.

    Raises:
        ModelError: The networks do not fit together.
        DiskError: The folder cannot be written to.
    """
    manifest, hashes = folder.manifest, dict(folder.manifest.files)
    contents = _program_files(folder) if _can_be_run(manifest) else {}
    card = folder.path / CARD
    if card.is_file():
        names = [path.name for path in folder.path.iterdir()]
        text = card_head(manifest, names) + _HEAD.sub("", card.read_text("utf-8"))
        contents[CARD] = text.encode()
    for name, content in contents.items():
        with replace_file(folder.path / name) as temporary:
            temporary.write_bytes(content)
        if name != CARD or name in hashes:  # a card may be edited by hand
            hashes[name] = file_hash(folder.path / name)
    manifest = replace(manifest, files=hashes)
    text = json.dumps(to_json(manifest), indent=1, ensure_ascii=False) + "\n"
    with replace_file(folder.path / DESCRIPTION) as temporary:
        temporary.write_bytes(text.encode())
    return manifest


def _can_be_run(manifest: Manifest) -> bool:
    """Whether the program, which comes with the shipped weights, is there and runs a model."""
    face, voice, fusion = manifest.face, manifest.voice, manifest.fusion
    if face is None or voice is None or fusion is None:
        return False
    if fusion.external or fusion.voice_sequence:
        return False
    is_read = face.input in GRAY_INPUTS and voice.input in SPECTRA
    return is_read and (SHIPPED / EXAMPLE).is_file()


def _program_files(folder: ModelFolder) -> dict[str, bytes]:
    """The program, and its inputs and answers: bytes by name, the same for the same networks."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = golden_arrays(folder)
    np.savez_compressed(buffer, **arrays)
    return {EXAMPLE: (SHIPPED / EXAMPLE).read_bytes(), GOLDEN: buffer.getvalue()}


def golden_arrays(folder: ModelFolder) -> dict[str, NDArray[Any]]:
    """Compute what a client of a model is checked by.

    Args:
        folder: A model of faces in gray and voices as log-mel spectrum.

    Returns:
        ``rgb`` uint8 (96, 112, 3), ``landmarks`` float32 (5, 2) and ``sound`` int16 (25600,), which
        divided by 32768 is mono at 16,000 samples/s; from them ``gray`` uint8 (64, 64), ``face``
        float16 (face_dim,), ``logmel`` float16 (160, 64), or (160, 66) with pitch, ``voice``
        float16 (rows, voice_dim), a row every hop; ``voice_row``, the row that goes into the
        moment. Of each task ``still.KEY`` float32 (K,), the answer to the picture, and
        ``moment.KEY``, that to its face at every position of the window and that voice, and
        ``sound.KEY``, that to the voice without a face; NaN where there is none.

    Raises:
        ModelError: The networks do not fit together.
    """
    face_network, voice_network = OnnxFace(folder), OnnxVoice(folder)
    fusion = Fusion(folder, TASKS)
    rgb, landmarks = _made_picture()
    crop = align(rgb, landmarks)[None]
    sound = _made_sound()
    chunks = [(sound / np.float32(_LEVELS)).astype(np.float32)]
    voice = np.concatenate([series.values for series in voice_network.stream(chunks)])
    row = min(_VOICE_ROW, len(voice) - 1)
    arrays: dict[str, NDArray[Any]] = {"rgb": rgb, "landmarks": landmarks, "sound": sound}
    arrays["gray"] = GRAY_INPUTS[face_network.gray or ""](crop)[0]
    arrays["face"] = np.asarray(face_network(crop)[0])
    assert folder.manifest.voice is not None  # noqa: S101 - else there were no network
    spectrum = LogMelRows(folder.manifest.voice.input)
    arrays["logmel"] = np.concatenate([each.values for each in spectrum.stream(chunks)])
    arrays |= {"voice": voice, "voice_row": np.array(row)}
    offsets_s = fusion.part.window.offsets_s()
    kinds = {
        "still": np.isclose(offsets_s, 0),
        "moment": offsets_s <= np.inf,
        "sound": offsets_s > np.inf,
    }
    for kind, present in kinds.items():
        faces = np.where(present[:, None], arrays["face"], 0)[None].astype(np.float32)
        has_voice = np.array([kind != "still"])
        spoken = (voice[row] * has_voice[0])[None].astype(np.float32)
        for key, values in fusion(faces, present[None], spoken, has_voice).items():
            arrays[f"{kind}.{key}"] = values[0]
    return arrays


def _made_picture() -> tuple[NDArray[np.uint8], FloatArray]:
    """A drawn face, turned, in a picture (96, 112, 3), and its five landmarks in pixels (5, 2)."""
    turn, shift = 0.62 * np.exp(0.11j), 19.0 + 12.0j
    points = (TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1]) * turn + shift
    landmarks = np.column_stack([points.real, points.imag]).astype(np.float32)
    y, x = np.mgrid[: _PICTURE[0], : _PICTURE[1]].astype(np.float64)
    level = 60 + 0.5 * x + 12 * np.sin(y / 9)
    middle = landmarks.mean(axis=0)
    skin = np.hypot((x - middle[0]) / 27, (y - middle[1]) / 35) < 1
    level = np.where(skin, 185 - 0.6 * np.hypot(x - middle[0], y - middle[1]), level)
    for (at_x, at_y), (wide, high) in zip(
        landmarks, [(5, 2.5), (5, 2.5), (3, 4), (4, 2), (4, 2)], strict=True
    ):
        level = np.where(np.hypot((x - at_x) / wide, (y - at_y) / high) < 1, 70 + at_x / 3, level)
    channels = np.stack([level + 20, level, level - 15], axis=-1)
    smooth = cv2.GaussianBlur(channels.clip(0, 255).astype(np.uint8), (3, 3), 0)
    return np.asarray(smooth, np.uint8), landmarks


def _made_sound() -> NDArray[np.int16]:
    """A gliding tone with overtones that swells and fades, int16 (25600,)."""
    times_s = np.arange(round(_SOUND_S * RATE)) / RATE
    phase = 2 * np.pi * (130 * times_s + 15 * times_s**2)
    numbers = np.arange(1, 9)
    wave = np.sin(np.outer(phase, numbers)) @ (1 / numbers)
    wave = wave * (0.6 + 0.4 * np.sin(2 * np.pi * 3.5 * times_s))
    return np.asarray(np.round(0.2 * _LEVELS * wave), np.int16)


def card_head(manifest: Manifest, files: Sequence[str]) -> str:
    """Write the YAML head of a card, as the hub of Hugging Face reads it.

    Args:
        manifest: What the model is.
        files: Names of the folder's files.

    Returns:
        Lines from ``---`` to ``---``, and an empty one.

    Examples:
        >>> head = card_head(Manifest("mine", "1", "research use; see LICENSE"), ["LICENSE"])
        >>> head.splitlines()[:4]
        ['---', 'license: other', 'license_name: "research-use"', 'license_link: "LICENSE"']
    """
    short = re.sub(r"[^a-z0-9.]+", "-", manifest.licence.partition(";")[0].lower()).strip("-")
    lines = ["---", "license: other", f"license_name: {json.dumps(short or 'unknown')}"]
    lines += ['license_link: "LICENSE"'] if "LICENSE" in files else []
    lines += ["library_name: triaffect", "pipeline_tag: video-classification", "tags:"]
    names = [re.sub(r"[^a-z0-9]+", "-", str(task["name"]).lower()) for task in manifest.tasks]
    lines += [f"- {json.dumps(tag)}" for tag in ("onnx", "affective-computing", *names)]
    return "\n".join([*lines, "---", "", ""])


def make_card(
    manifest: Manifest,
    files: Sequence[str],
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> str:
    """Write the card of a model that was just trained.

    Args:
        manifest: What the model is.
        files: Names of its files.
        scores: Official scores, by split, pool and name; may be empty.

    Returns:
        Markdown with a YAML head.
    """
    origins = manifest.label_origins
    lines = [f"# Model card: `{manifest.name}`", "", "## What it predicts", ""]
    lines += ["| task | outputs | origin of the labels |", "|---|---|---|"]
    for task in manifest.tasks:
        columns = ", ".join(task["columns"])
        lines.append(f"| {task['name']} | {columns} | {origins.get(task['key']) or 'none'} |")
    blank = [name for name, each in manifest.outputs.items() if each.blank == "always"]
    lines += ["", f"Left blank, for want of labels: {', '.join(blank)}."] if blank else []
    networks = ", ".join(f"{part} (`{each.file}`)" for part, each in manifest.parts.items())
    lines += ["", f"Networks: {networks}. Trained by the recipe `{manifest.name}`, which stands in"]
    lines += [f"`{DESCRIPTION}`, with triaffect {manifest.version}. Licence: {manifest.licence}."]
    if scores:
        lines += ["", "## Scores", "", "Official, on the store that it was trained with.", ""]
        lines += ["| split | pool | scores |", "|---|---|---|"]
        for split, pools in scores.items():
            for pool, official in pools.items():
                figures = ", ".join(f"{name} {value:.3f}" for name, value in official.items())
                lines.append(f"| {split} | {pool} | {figures} |")
    lines += ["", "## Use", "", "```python", "import triaffect", ""]
    lines += ['model = triaffect.load("FOLDER")', 'table = model("interview.mp4")', "```", ""]
    if _can_be_run(manifest):
        lines += [f"Without triaffect: `{EXAMPLE}`, checked by `{GOLDEN}`.", ""]
    lines += ["How far the outputs hold on other people is for whoever publishes it to add. They"]
    lines += [
        "estimate what raters write down, not what a person feels: not for decisions on people."
    ]
    return card_head(manifest, files) + "\n".join(lines) + "\n"

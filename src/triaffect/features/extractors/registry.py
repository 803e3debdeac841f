"""Extractors by name: a builtin one, or the network of a model folder."""

from __future__ import annotations

from pathlib import Path

from triaffect.errors import ModelError
from triaffect.features.extractors.onnx import (
    GRAY_INPUTS,
    SPECTRA,
    FaceExtractor,
    GrayCrops,
    LogMelRows,
    OnnxFace,
    OnnxVoice,
    VoiceExtractor,
)
from triaffect.features.model_folder import ModelFolder, load_model_folder

NONE, DEFAULT = "none", "default"
SHIPPED = Path(__file__).resolve().parents[2] / "weights" / "default"
"""The model folder that comes with the package."""


def face_extractor(name: str) -> FaceExtractor | None:
    """Get a face extractor by name, ready to run.

    Args:
        name: One of `GRAY_INPUTS`, "none", "default" for the shipped network, or a model folder.

    Returns:
        The extractor; None for "none".

    Raises:
        ModelError: It is no builtin's name, and no model folder with a face network.

    Examples:
        >>> face_extractor("gray64").spec.dim
        4096
    """
    if name == NONE:
        return None
    if name in GRAY_INPUTS:
        return GrayCrops(name)
    return OnnxFace(_folder(name, list(GRAY_INPUTS)))


def voice_extractor(name: str) -> VoiceExtractor | None:
    """Get a voice extractor by name, ready to run.

    Args:
        name: One of `SPECTRA`, "none", "default" for the shipped network, or a model folder.

    Returns:
        The extractor; None for "none".

    Raises:
        ModelError: It is no builtin's name, and no model folder with a voice network.

    Examples:
        >>> voice_extractor("logmel64").spec.rate
        16000
    """
    if name == NONE:
        return None
    if name in SPECTRA:
        return LogMelRows(name)
    return OnnxVoice(_folder(name, list(SPECTRA)))


def folder_of(name: str) -> Path | None:
    """Return where the networks of an extractor lie, which may not exist; None for a builtin one.

    Examples:
        >>> folder_of("gray64") is None, folder_of("runs/mine").as_posix()
        (True, 'runs/mine')
    """
    if name == NONE or name in GRAY_INPUTS or name in SPECTRA:
        return None
    return SHIPPED if name == DEFAULT else Path(name)


def shipped_or(path: Path) -> Path:
    """Return the folder of the shipped weights for the name default, else the path itself.

    >>> shipped_or(Path("runs/mine")).as_posix()
    'runs/mine'

    Args:
        path: As the user names a model; a folder of that name, if there is one, is meant itself.
    """
    return SHIPPED if path == Path(DEFAULT) and not path.exists() else path


def _folder(name: str, builtin: list[str]) -> ModelFolder:
    path = folder_of(name)
    if path is None or not path.is_dir():
        names = ", ".join([*builtin, NONE, DEFAULT])
        raise ModelError(f"{names} or a model folder", repr(name), "check the name")
    return load_model_folder(path)

"""Fetch a model from the hub of Hugging Face, when its name says so and its library is there.

Nothing is fetched but what a model folder consists of, in formats that hold no code: ONNX,
safetensors, JSON and TOML. Every network is checked against its hash when the folder is loaded.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from triaffect.errors import ModelError, one_line

PREFIX = "hf:"
PATTERNS = ("*.json", "*.onnx", "*.safetensors", "*.toml")
_ADDRESS = re.compile(r"hf:([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?")


def fetch_model(address: str) -> Path:
    """Fetch a model folder from the hub, or find it among those that were fetched before.

    Args:
        address: ``hf:OWNER/NAME``, or ``hf:OWNER/NAME@REVISION`` for a branch, tag or commit.

    Returns:
        The folder in the cache of ``huggingface_hub``; what is in it is not checked yet.

    Raises:
        ModelError: It is no such address, the package ``huggingface_hub`` is not installed, or
            the hub does not give the model.

    Examples:
        >>> fetch_model("hf:me")
        Traceback (most recent call last):
        triaffect.errors.ModelError: expected hf:OWNER/NAME or hf:OWNER/NAME@REVISION, got hf:me
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ModelError(f"{PREFIX}OWNER/NAME or {PREFIX}OWNER/NAME@REVISION", address)
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        expected, remedy = "the package huggingface_hub", "pip install huggingface_hub"
        raise ModelError(expected, "none installed", remedy, where=address) from error
    name, revision = match.groups()
    try:
        folder = hub.snapshot_download(
            repo_id=name, revision=revision, allow_patterns=list(PATTERNS)
        )
    except Exception as error:  # of the network, the hub and its library, which share no base
        remedy = "check the name, the connection and who may read it"
        raise ModelError("a model on the hub", one_line(error), remedy, where=address) from error
    return Path(folder)

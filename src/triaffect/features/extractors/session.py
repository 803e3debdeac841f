"""Opening a network with onnxruntime, on one CPU thread or on a graphics card."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from triaffect.errors import ModelError

CPU = "cpu"
PROVIDERS = {CPU: "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Devices by the name a user gives, and what onnxruntime calls them."""


def open_session(path: Path, device: str = CPU) -> onnxruntime.InferenceSession:
    """Load a network.

    Args:
        path: Its ONNX file.
        device: "cpu" or "cuda".

    Raises:
        ModelError: The file is no network, or the device is unknown or not there. It is never
            replaced by another in silence.
    """
    provider = _provider(device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # onnxruntime's own exceptions share no other base
        raise ModelError("an ONNX network", first_line(error), where=path) from error
    if provider not in session.get_providers():
        raise _not_here(device, "a card or libraries that onnxruntime cannot use")
    return session


def first_line(error: Exception) -> str:
    """What an exception says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _provider(device: str) -> str:
    if device not in PROVIDERS:
        raise ModelError(f"a device: {' or '.join(PROVIDERS)}", repr(device), where="device")
    if PROVIDERS[device] not in onnxruntime.get_available_providers():
        raise _not_here(device, "an onnxruntime built without it")
    return PROVIDERS[device]


def _not_here(device: str, got: str) -> ModelError:
    remedy = f"install onnxruntime-gpu in place of onnxruntime, or use device {CPU}"
    return ModelError(f"onnxruntime with {device}", got, remedy, where="device")

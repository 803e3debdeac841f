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

    Returns:
        A session that computes on one thread of the CPU, or on the card.

    Raises:
        ModelError: The file is no network, or the device is unknown or not there. It is never
            replaced by another in silence.
    """
    remedy = f"install onnxruntime-gpu in place of onnxruntime, or use device {CPU}"
    if device not in PROVIDERS:
        raise ModelError(f"a device: {' or '.join(PROVIDERS)}", repr(device), where="device")
    provider, expected = PROVIDERS[device], f"onnxruntime with {device}"
    if provider not in onnxruntime.get_available_providers():
        raise ModelError(expected, "an onnxruntime built without it", remedy, where="device")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # onnxruntime's own exceptions share no other base
        raise ModelError("an ONNX network", first_line(error), where=path) from error
    if provider not in session.get_providers():
        got = "a card or libraries that onnxruntime cannot use"
        raise ModelError(expected, got, remedy, where="device")
    return session


def first_line(error: Exception) -> str:
    """Return what an exception says, in one line: its first, or its type if it says nothing.

    Examples:
        >>> first_line(ValueError("no such node" + chr(10) + "at line 3")), first_line(KeyError())
        ('no such node', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

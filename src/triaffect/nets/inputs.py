"""Names of the inputs that samples hand to a network, beside ``face`` and ``voice``."""

from __future__ import annotations


def extra_input(stream: str) -> str:
    """Name of the input with a further stream's vectors."""
    return f"extra.{stream}"


def extra_presence(stream: str) -> str:
    """Name of the input that says which of them are there."""
    return f"extra.{stream}.present"

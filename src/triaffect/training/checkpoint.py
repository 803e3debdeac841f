"""Checkpoints: everything a run needs to go on as if it had never stopped; no pickle.

A checkpoint is one safetensors file: parameters, statistics, optimiser moments and the random
states as tensors, and where in the run it was made as JSON in the file's metadata.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from triaffect.errors import RunError
from triaffect.io.atomic import make_folder, replace_file
from triaffect.training.device import TorchDevice
from triaffect.training.optimizers import ExponentialMovingAverage


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file, whole or not at all.

    Args:
        path: The file; its folder is made.
        tensors: Tensors by name, on any device.
        metadata: Texts by name; None for none.

    Raises:
        DiskError: It cannot be written.
    """
    make_folder(path.parent)
    with replace_file(path) as temporary:
        try:
            copies = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
            save_file(copies, temporary, metadata)
        except SafetensorError as error:  # it hides what the system said in its own message
            raise OSError(str(error)) from error


def save_checkpoint(
    path: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
    ema: ExponentialMovingAverage | None = None,
) -> None:
    """Write a checkpoint aside and rename it.

    Args:
        path: File to write.
        net: Network with its statistics.
        optimizer: Optimiser with its moments.
        progress: Anything JSON can say about where the run is.
        ema: Moving average of the network's weights, if the stage has one.

    Raises:
        DiskError: It cannot be written; the checkpoint before it stays.
    """
    state, numbers = optimizer.state_dict(), dict[str, Any]()
    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                numbers[f"{index}.{name}"] = value
    settings = {"groups": state["param_groups"], "numbers": numbers}
    if ema is not None:
        tensors |= {f"average.{name}": value for name, value in ema.state_dict().items()}
    tensors |= TorchDevice.of(net).random_states()
    described = {"progress": progress, "optimizer": settings}
    write_tensors(path, tensors, {"triaffect": json.dumps(described)})


def read_progress(path: Path) -> dict[str, Any]:
    """Read where in the run a checkpoint was made.

    Args:
        path: The checkpoint.

    Returns:
        What `save_checkpoint` was given.

    Raises:
        RunError: Not a whole checkpoint.
    """
    return dict(_described(path)["progress"])


def load_checkpoint(
    path: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    ema: ExponentialMovingAverage | None = None,
) -> None:
    """Put a checkpoint's tensors and random states back; the network is where it was saved.

    Args:
        path: The checkpoint.
        net: The network; gets its parameters and statistics.
        optimizer: Its optimizer; gets its moments and settings.
        ema: Moving average of the network's weights, if the stage has one.

    Raises:
        RunError: Not a whole checkpoint.
    """
    described = _described(path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    net.load_state_dict(_under("net.", tensors))
    moments = {**_under("optimizer.", tensors), **described["optimizer"]["numbers"]}
    state: dict[int, dict[str, Any]] = {}
    for key, value in moments.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    groups = described["optimizer"]["groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    # Files know one memory layout only, but fused optimizers walk through parameters and moments
    # side by side: moments get the layout of their parameters.
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                entries[name] = torch.empty_like(parameter).copy_(value)
    if ema is not None:
        ema.load_state_dict(_under("average.", tensors))
    TorchDevice.of(net).set_random_states(tensors)


def _described(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, "pt") as file:
            return dict(json.loads(file.metadata()["triaffect"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        raise RunError("a whole checkpoint", "a damaged one", "train again", where=path) from None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

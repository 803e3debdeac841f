"""Where training computes: on the processor or on a CUDA card.

`TorchDevice` is the one owner of that choice. Networks are built on the processor, so that a seed
starts from the same weights anywhere, and moved; what meets a network follows its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triaffect.errors import RunError
from triaffect.losses.objective import TorchTargets
from triaffect.types import Targets

PrecisionName = Literal["float32", "bfloat16"]

PROCESSOR = "cpu"
RANDOM = "rng"
"""Name of the processor's random state in a checkpoint; another device's has its name behind."""


@dataclass(frozen=True)
class TorchDevice:
    """A torch device, with what moves arrays, labels and random states to it.

    Attributes:
        torch_device: Of parameters, inputs, labels and losses.
    """

    torch_device: torch.device

    @property
    def name(self) -> str:
        """Return what the device is called, without its number."""
        return self.torch_device.type

    @staticmethod
    def named(name: str) -> TorchDevice:
        """Find a device by its name.

        >>> TorchDevice.named("cpu").name
        'cpu'

        Args:
            name: "cpu" or "cuda".

        Raises:
            RunError: It is "cuda", and there is no card that torch can use.
        """
        device = torch.device(name)
        if device.type == "cuda" and not torch.cuda.is_available():
            built = torch.version.cuda is not None
            got = "no card or driver" if built else f"torch {torch.__version__}, built without CUDA"
            remedy = "see `nvidia-smi`" if built else "install torch for CUDA, see pytorch.org"
            raise RunError(
                "a CUDA card that torch can use", got, f"{remedy}, or leave --device out",
                where="--device cuda",
            )  # fmt: skip
        return TorchDevice(device)

    @staticmethod
    def of(net: nn.Module) -> TorchDevice:
        """Find where a network is.

        Args:
            net: The network; one without parameters is on the processor.
        """
        return next((TorchDevice(each.device) for each in net.parameters()), CPU)

    def tensor(self, array: NDArray[np.generic]) -> Tensor:
        """Convert an array to a tensor.

        Args:
            array: Any shape and type.

        Returns:
            The same values and type on the device; on the processor it may share the memory.
        """
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.torch_device)

    def tensors(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, Tensor]:
        """Convert arrays by name to tensors, each as `tensor` does."""
        return {name: self.tensor(array) for name, array in arrays.items()}

    def targets(self, targets: Mapping[str, Targets]) -> dict[str, TorchTargets]:
        """Convert labels by task key to tensors on the device."""
        return {key: TorchTargets.of(each, self.torch_device) for key, each in targets.items()}

    def autocast(self, precision: PrecisionName) -> torch.autocast:
        """Return a context within which a network's products are of a precision.

        Args:
            precision: "float32" changes nothing; "bfloat16" leaves parameters in float32.

        Returns:
            To be used in a ``with`` statement, around the forward pass alone.
        """
        return torch.autocast(self.name, torch.bfloat16, enabled=precision == "bfloat16")

    def random_states(self) -> dict[str, Tensor]:
        """Return the states of every generator that training draws from, by name."""
        states = {RANDOM: torch.get_rng_state()}
        if self._own_random is not None:
            module = torch.get_device_module(self.torch_device)
            states[self._own_random] = module.get_rng_state(self.torch_device)
        return states

    def set_random_states(self, states: Mapping[str, Tensor]) -> None:
        """Put the states of generators back.

        Args:
            states: As `random_states` returns them, perhaps among other tensors.
        """
        torch.set_rng_state(states[RANDOM])
        if self._own_random is not None:
            module = torch.get_device_module(self.torch_device)
            module.set_rng_state(states[self._own_random], self.torch_device)

    @property
    def _own_random(self) -> str | None:
        return None if self.name == PROCESSOR else f"{RANDOM}.{self.name}"


CPU = TorchDevice(torch.device(PROCESSOR))

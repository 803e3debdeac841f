"""A device that is not there: ``pretended``, apart from the processor as a card is.

Its tensors are numbers of the processor behind another name, and torch keeps the two apart as it
does with a card: an operation on tensors of both fails, and so does NumPy on one of these. It has
a random state of its own. So what trains here would find all its tensors on a card too. Setting
it up changes torch for the whole process; `main` does that in one of its own.

    python -m tests.training.pretended DEVICE STORE OUT RECIPE [--die-after N] [KEY=VALUE…]
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.utils import _pytree
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from tests.training.recipes import small
from triaffect.features.store import FeatureStore
from triaffect.training.device import TorchDevice
from triaffect.training.trainer import train

NAME = "pretended"
KEY, AUTOCAST = "PrivateUse1", "AutocastPrivateUse1"
RANDOM = ("bernoulli", "dropout", "normal", "rand", "uniform")
ATEN = torch.ops.aten
DIED = 9


class Module:
    """What torch asks of a device's module."""

    def __init__(self):
        self.random = torch.Generator().get_state()

    def is_available(self):
        return True

    is_initialized = is_available

    def _is_in_bad_fork(self):
        return False

    def current_device(self):
        return 0

    def device_count(self):
        return 1

    def manual_seed_all(self, seed):
        self.random = torch.Generator().manual_seed(seed).get_state()

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]

    def get_rng_state(self, device):
        assert device.type == NAME
        return self.random

    def set_rng_state(self, state, device):
        assert device.type == NAME
        self.random = state


class Pretended:
    """The device: every operation goes to the processor and comes back under its name."""

    def __init__(self):
        self.module, self.memory = Module(), {}
        _setup_privateuseone_for_python_backend(NAME, self.module)
        self.every, self.aten = (
            torch.library.Library("_", "IMPL"),
            torch.library.Library("aten", "IMPL"),
        )
        self.every.fallback(self.kernel, KEY)
        self.every.fallback(torch.library.fallthrough_kernel, AUTOCAST)
        self.aten.impl("copy_", self.copy, KEY)
        self.aten.impl("convolution_overrideable", self.convolution, KEY)
        self.aten.impl("convolution_backward_overrideable", self.convolution_backward, KEY)
        self.aten.impl("linear", self.linear, AUTOCAST)

    def kernel(self, op, *args, **kwargs):
        """Any operation, once torch has found its tensors in one place."""
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        given, _ = _pytree.tree_flatten((args, kwargs))
        mine = [(each, self.real(each)) for each in given if self.owns(each)]
        stray = [
            each.shape
            for each in given
            if isinstance(each, Tensor) and not self.owns(each) and each.ndim
        ]
        if stray:
            raise AssertionError(f"{op}: {stray} on the processor")
        args, kwargs = _pytree.tree_map(self.real, (args, kwargs))
        out = (
            self.drawn(op, args, kwargs)
            if any(r in str(op) for r in RANDOM)
            else op(*args, **kwargs)
        )
        return _pytree.tree_map(lambda value: self.named(value, mine), out)

    def drawn(self, op, args, kwargs):
        """An operation that takes from the device's random numbers, not the processor's."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.module.random)
            out = op(*args, **kwargs)
            self.module.random = torch.get_rng_state()
        return out

    def copy(self, target, source, non_blocking=False):
        self.real(target).copy_(self.real(source))
        return target

    def convolution(self, *args):
        return self.kernel(ATEN.convolution.default, *args)

    def convolution_backward(self, along, x, weight, *args):
        return self.kernel(
            ATEN.convolution_backward.default, along, x, weight, [weight.shape[0]], *args
        )

    def linear(self, *tensors):
        """The product that mixed precision is about."""
        with torch._C._ExcludeDispatchKeyGuard(_keys(AUTOCAST)):
            return torch.nn.functional.linear(*(each.bfloat16() for each in tensors))

    def owns(self, value):
        return isinstance(value, Tensor) and value.device.type == NAME

    def real(self, value):
        """The numbers behind a tensor of this device; anything else as it is."""
        if not self.owns(value):
            return value
        flat = self.memory[value.untyped_storage()._cdata]
        return flat.as_strided(value.shape, value.stride(), value.storage_offset())

    def named(self, value, mine):
        """A result under this device's name; a view or the thing itself of what was given."""
        if not isinstance(value, Tensor):
            return value
        storage = value.untyped_storage()
        for owner, real in mine:
            if value is real:
                return owner
            if storage._cdata == real.untyped_storage()._cdata:
                return _view(owner, value)
        flat = torch.empty(0, dtype=value.dtype).set_(storage)
        owner = torch._C._acc.create_empty_tensor(tuple(flat.shape), value.dtype)
        self.memory[owner.untyped_storage()._cdata] = flat
        return _view(owner, value)


def _keys(name):
    return torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, name))


def _view(owner, like):
    geometry = (like.shape, like.stride(), like.storage_offset())
    return ATEN.as_strided.default.redispatch(_keys("Meta"), owner, *geometry)


def gru_cell(x, hidden, w_ih, w_hh, b_ih, b_hh):
    """A GRU's step in plain operations: the fused one is a card's own."""
    linear = torch.nn.functional.linear
    (r, z, n), (hr, hz, hn) = (
        linear(x, w_ih, b_ih).chunk(3, 1),
        linear(hidden, w_hh, b_hh).chunk(3, 1),
    )
    keep = (z + hz).sigmoid()
    return (1 - keep) * (n + (r + hr).sigmoid() * hn).tanh() + keep * hidden


def main():
    parser = argparse.ArgumentParser()
    for name in ("device", "store", "out", "recipe"):
        parser.add_argument(name)
    parser.add_argument("--die-after", type=int)
    parser.add_argument("changes", nargs="*")
    asked = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    if asked.device == NAME:
        Pretended()
        torch._VF.gru_cell = gru_cell
    told = []

    def report(*_):
        told.append(1)
        if len(told) == asked.die_after:
            raise SystemExit(DIED)

    train(
        small(asked.recipe, *asked.changes),
        FeatureStore.open(Path(asked.store)),
        Path(asked.out),
        resume=True,
        report=report,
        checkpoint_every_s=0 if asked.die_after else 60,
        device=TorchDevice(torch.device(asked.device)),
    )


if __name__ == "__main__":
    main()

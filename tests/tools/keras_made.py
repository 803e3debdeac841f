"""Weights drawn from a seed, in Keras's layout, and files that hold them as Keras's would.

The same rule filled the networks in Keras whose outputs lie in ``data``: layers in order of the
network's modules; kernels normal over the square root of their inputs, biases, beta and mean
normal times 0.1, gamma and variance uniform between 0.5 and 1.5; one generator for all.
"""

import h5py
import numpy as np
import torch
from torch import nn

NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def drawn(net, seed):
    """(name, {role: array}) of every layer with weights, such as ("conv2d_1", {"kernel": …})."""
    rng = np.random.default_rng(seed)
    counts = {}
    for module in net.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            kind = {nn.Linear: "dense", nn.Conv1d: "conv1d"}.get(type(module), "conv2d")
            outputs, inputs, *size = module.weight.shape
            shape = (*size, inputs, outputs)
            kernel = rng.normal(0, 1, shape) / np.sqrt(np.prod(shape[:-1]))
            arrays = {"kernel": kernel, "bias": rng.normal(0, 0.1, outputs)}
        elif hasattr(module, "running_mean"):
            kind, width = "batch_normalization", len(module.weight)
            arrays = {
                "gamma": rng.uniform(0.5, 1.5, width),
                "beta": rng.normal(0, 0.1, width),
                "moving_mean": rng.normal(0, 0.1, width),
                "moving_variance": rng.uniform(0.5, 1.5, width),
            }
        else:
            continue
        number = counts[kind] = counts.get(kind, -1) + 1
        name = f"{kind}_{number}" if number else kind
        yield name, {role: values.astype(np.float32) for role, values in arrays.items()}


def filled(net, seed):
    """The network with the drawn weights put in by hand, to predict with."""
    homes = [m for m in net.modules() if getattr(m, "weight", None) is not None]
    for module, (_, arrays) in zip(homes, drawn(net, seed), strict=True):
        if "kernel" in arrays:
            kernel = np.moveaxis(arrays["kernel"], (-1, -2), (0, 1))
            values = {"weight": kernel, "bias": arrays["bias"]}
        else:
            torch_names = ("weight", "bias", "running_mean", "running_var")
            values = {name: arrays[role] for name, role in zip(torch_names, NORM, strict=True)}
        for name, value in values.items():
            getattr(module, name).data = torch.tensor(np.ascontiguousarray(value))
    return net.eval()


def write_keras2(path, layers, group=None, nested=None):
    """An HDF5 file of Keras 2: names in attributes, in order; ``group`` for a whole model.

    With ``nested``, all layers lie within one layer of that name, moving statistics last.
    """
    with h5py.File(path, "w") as file:
        root = file.create_group(group) if group else file
        if group:
            file.attrs["model_config"] = '{"class_name": "Lambda", "code": "import os"}'
            file.create_dataset("optimizer_weights/adam/conv2d/kernel/m:0", data=np.ones(3, "f4"))
        homes = {nested: layers} if nested else {name: [(name, arrays)] for name, arrays in layers}
        root.attrs["layer_names"] = ["input_1", *homes]
        root.create_group("input_1").attrs["weight_names"] = np.zeros(0)
        for home, inside in homes.items():
            lead = f"{nested}/" if nested else ""
            values = {
                f"{lead}{name}/{role}:0": array
                for name, arrays in inside
                for role, array in arrays.items()
            }
            names = sorted(values, key=lambda name: "moving" in name) if nested else list(values)
            within = root.create_group(home)
            within.attrs["weight_names"] = names
            for name in names:
                within.create_dataset(name, data=values[name])


def write_keras3(path, layers):
    """A ``.weights.h5`` file of Keras 3: numbered variables, the layer's name in an attribute."""
    with h5py.File(path, "w") as file:
        counts = {}
        for name, arrays in layers:
            kind = name.rstrip("0123456789").rstrip("_") if name[-1].isdigit() else name
            kind = {"conv": "conv1d", "conv1d": "conv1d"}.get(kind, kind)
            number = counts[kind] = counts.get(kind, -1) + 1
            group = file.create_group(
                f"layers/{kind}_{number}/vars" if number else f"layers/{kind}/vars"
            )
            group.attrs["name"] = name
            for at, values in enumerate(arrays.values()):
                group.create_dataset(str(at), data=values)
        file.create_dataset("optimizer/vars/0", data=np.int64(3))
        file.create_dataset("layers/dropout/seed_generator/vars/0", data=np.zeros(2, "u4"))

"""The published extractors against the same networks in Keras, in double precision.

How ``data/keras.npz`` was made, with TensorFlow 2.21 and Keras 3.15 outside of this project:
``keras.backend.set_floatx("float64")``; the face network of ``Conv2D(…, padding="same")``,
``BatchNormalization()``, ``MaxPooling2D(3, 2, padding="same")``, ``groups=32`` and so on, inputs
of any size; SoundNet of ``ZeroPadding1D``, ``Conv1D(…, strides=2)``, ``BatchNormalization()``,
``MaxPooling1D``. Weights by `tests.tools.keras_made.drawn` (seeds 1 and 3). Inputs from
``default_rng(2)``: ``random((1, h, w, 3), float32)`` of 224×224, then of 97×130; then
``uniform(-255, 255, (1, 220_500, 1))`` as float32.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tools.keras_made import filled
from triaffect.models.fer_resnet34 import FerResNet34
from triaffect.models.soundnet import SoundNet8

EXPECTED = Path(__file__).parent / "data" / "keras.npz"


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(2)
    faces = [rng.random((1, h, w, 3), np.float32) for h, w in ((224, 224), (97, 130))]
    return *faces, rng.uniform(-255, 255, (1, 220_500, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def expected():
    with np.load(EXPECTED) as file:
        return dict(file)


def close(ours, theirs, tolerance):
    assert ours.numel() == theirs.size
    difference = np.abs(ours.numpy().reshape(-1) - theirs).max()
    assert difference <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("size", [(224, 224), (97, 130)])
def test_face_network_gives_what_keras_gives(size, inputs, expected):
    faces = torch.from_numpy(inputs[0 if size == (224, 224) else 1]).permute(0, 3, 1, 2)
    theirs = expected[f"fer_{size[0]}_{size[1]}"]
    net = filled(FerResNet34(), 1)
    with torch.no_grad():
        close(net(faces), theirs, 1e-5)
        close(net.double()(faces.double()), theirs, 1e-12)


def test_voice_network_gives_what_keras_gives(inputs, expected):
    sound = torch.from_numpy(inputs[2][..., 0])
    net = filled(SoundNet8(), 3)
    with torch.no_grad():
        close(net(sound), expected["objects_220500"], 1e-5)
        objects, scenes = net.double().heads(sound.double())
    close(objects, expected["objects_220500"], 1e-12)
    close(scenes, expected["scenes_220500"], 1e-12)

"""One tiny model, loaded once, and clips for it."""

import pytest

from tests.prediction.tiny_model import write_clip, write_tiny_model
from triaffect.prediction.predictor import Predictor


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def predictor(model):
    return Predictor(model)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Forty frames, two of them without a face, with sound."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 40, faceless=(10, 11))

"""What every test shares: one tiny model, loaded once, and clips for it."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.markers import markers_of

# A busy machine is no failure: nothing here asserts a time.
settings.register_profile("triaffect", deadline=None)
settings.load_profile("triaffect")


def pytest_itemcollected(item):
    """Give a test the markers of its file, before ``-m`` selects by them."""
    for marker in markers_of(item.path.relative_to(Path(__file__).parent).as_posix()):
        item.add_marker(marker)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    from tests.prediction.tiny_model import write_tiny_model  # noqa: PLC0415 - needs onnx

    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def predictor(model):
    from triaffect.prediction.predictor import Predictor  # noqa: PLC0415

    return Predictor(model)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Forty frames, two of them without a face, with sound."""
    from tests.prediction.tiny_model import write_clip  # noqa: PLC0415

    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 40, faceless=(10, 11))

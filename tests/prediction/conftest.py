"""What tests of prediction share."""

import pytest

from triaffect.prediction.inputs import InputOptions


@pytest.fixture
def computed(monkeypatch):
    """Names of the files that were really opened."""
    names, open_input = [], InputOptions.open

    def watched(self, path):
        names.append(path.name)
        return open_input(self, path)

    monkeypatch.setattr(InputOptions, "open", watched)
    return names

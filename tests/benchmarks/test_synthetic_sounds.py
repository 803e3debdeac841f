"""Made sounds: the same for the same seed, of the length asked for, and something to hear."""

import numpy as np
import pytest

from tests.benchmarks.scripts import load

synthetic_sounds = load("synthetic_sounds")


@pytest.mark.parametrize("kind", synthetic_sounds.KINDS)
def test_each_kind_is_a_sound_of_its_own(kind):
    sound, same, other = (
        synthetic_sounds.make(kind, 1.3, 0),
        synthetic_sounds.make(kind, 1.3, 0),
        synthetic_sounds.make(kind, 1.3, 1),
    )
    assert sound.shape == (round(1.3 * synthetic_sounds.RATE),)
    assert sound.dtype == np.float32
    assert np.array_equal(sound, same)
    assert not np.array_equal(sound, other)
    assert np.abs(sound).max() == pytest.approx(1)
    assert np.isfinite(other).all()

"""Action units: which of twelve facial movements are present (FACS)."""

from __future__ import annotations

from types import MappingProxyType

from triaffect.tasks.presence import PresenceTask

FACS_NAMES = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    6: "cheek raiser",
    7: "lid tightener",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
}
"""The units that are predicted, with their names in the Facial Action Coding System."""


class ActionUnits(PresenceTask):
    """Twelve logits through a sigmoid, learned by binary cross-entropy, scored by mean F1.

    Args:
        thresholds: Lowest probability of "present" by column; 0.5 for one not named.
    """

    key = "AU"
    name = "action_units"
    columns = tuple(f"AU{number}" for number in FACS_NAMES)
    part_names = columns
    threshold_columns = columns
    column_aliases = MappingProxyType(
        {
            "openface": {name: f"AU{int(name[2:]):02d}_c" for name in columns if name != "AU24"},
            "pyfeat": {name: f"AU{int(name[2:]):02d}" for name in columns},
        }
    )
    plain_words = MappingProxyType(
        {
            "smile": ("AU12",),
            "frown": ("AU4",),
            "brow_raise": ("AU1", "AU2"),
            "lips_parted": ("AU25",),
        }
    )
    titles = MappingProxyType({f"AU{n}": f"AU{n} {name}" for n, name in FACS_NAMES.items()})
    facial = True


ACTION_UNITS = ActionUnits()

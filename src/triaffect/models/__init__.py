"""Networks, as torch modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.models.base import (
        Ensemble,
        NetworkShape,
        NetworkSpec,
        Outputs,
        TrainableNetwork,
        find_network,
        load_weights,
    )
    from triaffect.models.default import DefaultNet
    from triaffect.models.light_face import LightFace
    from triaffect.models.light_voice import LightVoice
    from triaffect.models.paper import PaperNet

__all__ = [
    "DefaultNet",
    "Ensemble",
    "LightFace",
    "LightVoice",
    "NetworkShape",
    "NetworkSpec",
    "Outputs",
    "PaperNet",
    "TrainableNetwork",
    "find_network",
    "load_weights",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "base": [
            "Ensemble",
            "NetworkShape",
            "NetworkSpec",
            "Outputs",
            "TrainableNetwork",
            "find_network",
            "load_weights",
        ],
        "default": ["DefaultNet"],
        "light_face": ["LightFace"],
        "light_voice": ["LightVoice"],
        "paper": ["PaperNet"],
    },
)

"""Pictures of people who do not exist, for documents that should show nobody real."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.emotion import PROTOTYPES
from triaffect.synthetic.people import make_person
from triaffect.synthetic.shot import Instant, Shot
from triaffect.tasks.expression import EXPRESSIONS

LARGEST = 512


def render_portrait(
    seed: int,
    expression: str = "neutral",
    size: int = 256,
    actions: dict[int, float] | None = None,
    yaw: float = 0.0,
) -> NDArray[np.uint8]:
    """Picture of one person.

    Args:
        seed: Decides person, room and light.
        expression: One of the eight, by name; ``"other"`` has no face of its own.
        size: Width and height in pixels, at most 512.
        actions: Strengths in [0, 1] of facial actions by their number; replace the expression.
        yaw: Turn of the head to the viewer's right, radians.

    Returns:
        RGB picture, shape (size, size, 3).

    Raises:
        ValueError: No such expression, or too large a picture.
    """
    faces = {name: PROTOTYPES[code] for code, name in enumerate(EXPRESSIONS) if code in PROTOTYPES}
    if expression not in faces:
        raise ValueError(f"one of {', '.join(faces)} expected, got {expression!r}")
    if size > LARGEST:
        raise ValueError(f"at most {LARGEST} pixels expected, got {size}")
    random = np.random.default_rng(seed)
    shot = Shot([make_person(random)], random, size, size)
    shot.microphone = False
    shown = Instant(
        faces[expression] if actions is None else actions,
        (0.0, 0.0),
        replace(shot.seats[0], yaw=yaw, pitch=0.03),
    )
    return shot.frame([shown], random)[0]

"""What a user may choose about a prediction, apart from the model.

The same in Python and in the command line, and part of what a kept result depends on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from triaffect.errors import TriaffectError

DETECT_EVERY_S = 0.2
"""Changes answers a quarter as much as a shift of the picture by five pixels does, see
docs/decisions/009-looking-near.md."""


@dataclass(frozen=True)
class Options:
    """What to predict of a file, and how closely to look.

    Attributes:
        sound: Whether the sound of videos is heard; if not, faces alone are judged.
        every_s: Seconds from one moment that has rows to the next; None gives rows to every
            frame. A row says the same either way: only what its window needs is computed.
        detect_every_s: Seconds from one look at the whole picture to the next; in between,
            known faces are looked for near where they were. 0 looks at all of every frame.
        smallest_face_px: Faces whose box has a shorter side than this, in pixels of the
            picture, are passed over.
        most_faces: At most so many faces of a frame, the largest; None for all.

    Raises:
        TriaffectError: A value that cannot be.
    """

    sound: bool = True
    every_s: float | None = None
    detect_every_s: float = DETECT_EVERY_S
    smallest_face_px: float = 0.0
    most_faces: int | None = None

    def __post_init__(self) -> None:
        _check("every_s (--every)", self.every_s, above=0.0)
        _check("detect_every_s (--detect-every)", self.detect_every_s, least=0.0)
        _check("smallest_face_px (--smallest-face)", self.smallest_face_px, least=0.0)
        _check("most_faces (--most-faces)", self.most_faces, least=1)


def _check(
    where: str, value: float | None, least: float = -math.inf, above: float = -math.inf
) -> None:
    if value is None or (math.isfinite(value) and value >= least and value > above):
        return
    bound = f"above {above:g}" if math.isfinite(above) else f"of at least {least:g}"
    raise TriaffectError(f"a number {bound}", f"{value:g}", where=where)


DEFAULT = Options()

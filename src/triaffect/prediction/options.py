"""Options of a prediction that do not depend on the model: which faces, which moments.

They are the same in Python and on the command line, and part of what a cached result depends on.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypedDict

from triaffect.errors import TriaffectError
from triaffect.io.durations import parse_duration

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DETECTION_INTERVAL_S = 0.4
"""Changes predictions a third as much as a shift of the picture by five pixels does, see
docs/decisions/009-looking-near.md."""

_SLACK_S = 1e-6
"""Times of frames are sums and quotients of floats."""

_OLD_NAMES = {
    "every_s": "stride_s",
    "detect_every_s": "detection_interval_s",
    "smallest_face_px": "min_face_px",
    "most_faces": "max_faces",
}


@dataclass(frozen=True, init=False)
class Options:
    """Options of a prediction.

    The names of 0.1.0 (``every_s``, ``detect_every_s``, ``smallest_face_px``, ``most_faces``) are
    accepted by keyword, with a `DeprecationWarning`.

    Attributes:
        sound: Whether the sound of videos is used; if not, predictions rest on faces alone.
        sound_track: Which of a file's several sounds is used, from 1; None takes the default one,
            or the one most like a voice, and says which.
        stride_s: Seconds from one moment that has rows to the next; None gives rows to every
            frame. Values are the same either way: only what a row's window needs is computed.
        detection_interval_s: Seconds from one detection in the whole frame to the next; in
            between, faces are followed by their gray levels, or detected near their last
            position. 0 detects in all of every frame.
        min_face_px: Faces whose box has a shorter side than this, in pixels of the frame, are
            ignored; those of this size are searched for, at a cost. 0 searches for faces of 40
            pixels, in frames of more than 1,422 for 1/36 of the longer side, and ignores none.
        max_faces: At most so many faces of a frame, the largest; None for all.
        start_s: Rows begin at this time of the file in seconds; None for its beginning.
        end_s: Rows end before this time; None for the end of the file.

    Raises:
        TriaffectError: A value is out of its range, or the end is not after the start.
        TypeError: There is no such option.
    """

    sound: bool = True
    stride_s: float | None = None
    detection_interval_s: float = DETECTION_INTERVAL_S
    min_face_px: float = 0.0
    max_faces: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    sound_track: int | None = None

    def __init__(
        self,
        sound: bool = True,
        stride_s: float | None = None,
        detection_interval_s: float = DETECTION_INTERVAL_S,
        min_face_px: float = 0.0,
        max_faces: int | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        sound_track: int | None = None,
        **old_names: object,
    ) -> None:
        values: dict[str, object] = {
            "sound": sound,
            "stride_s": stride_s,
            "detection_interval_s": detection_interval_s,
            "min_face_px": min_face_px,
            "max_faces": max_faces,
            "start_s": start_s,
            "end_s": end_s,
            "sound_track": sound_track,
        }
        for old, value in old_names.items():
            if old not in _OLD_NAMES:
                raise TypeError(f"Options has no option {old!r}; it has {', '.join(values)}")
            message = f"the option {old} is now {_OLD_NAMES[old]}"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            values[_OLD_NAMES[old]] = value
        for name, value in values.items():
            object.__setattr__(self, name, value)
        check_number("stride_s", self.stride_s, above=0.0)
        check_number("detection_interval_s", self.detection_interval_s, least=0.0)
        check_number("min_face_px", self.min_face_px, least=0.0)
        check_number("max_faces", self.max_faces, least=1, whole=True)
        check_number("sound_track", self.sound_track, least=1, whole=True)
        check_number("start", self.start_s, least=0.0)
        check_number("end", self.end_s, above=self.start_s or 0.0)

    def changed(self, keywords: OptionKeywords) -> Options:
        """Return the options with some of them replaced.

        >>> options = Options(max_faces=1).changed({"start": "1:30", "end": 100})
        >>> options.max_faces, options.start_s, options.end_s
        (1, 90.0, 100.0)

        Args:
            keywords: Options by name; ``start`` and ``end`` as seconds, or text such as
                ``"1:30"``, None for the file's beginning and end.

        Returns:
            New options; these stay as they are.

        Raises:
            TriaffectError: A value is out of its range.
            TypeError: There is no such option.
        """
        values: dict[str, Any] = dict(keywords)
        for name in ("start", "end"):
            if name in values:
                value = values.pop(name)
                values[f"{name}_s"] = None if value is None else parse_duration(value, name)
        return replace(self, **values)

    def select_rows(self, time_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Select the moments from the start on and before the end.

        >>> import numpy as np
        >>> Options(start_s=1, end_s=2).select_rows(np.array([0.5, 1.0, 1.5, 2.0])).tolist()
        [False, True, True, False]

        Args:
            time_s: Times in seconds, shape (N,).

        Returns:
            Which of them get rows, shape (N,), bool.
        """
        selected = time_s >= (self.start_s or 0.0) - _SLACK_S
        if self.start_s is None:
            selected[:] = True  # also a frame that is shown before time 0
        return selected & (time_s < (math.inf if self.end_s is None else self.end_s - _SLACK_S))


class OptionKeywords(TypedDict, total=False):
    """Options by keyword, as `Options` has them."""

    sound: bool
    sound_track: int | None
    stride_s: float | None
    detection_interval_s: float
    min_face_px: float
    max_faces: int | None
    start: str | float | None
    end: str | float | None


def check_number(
    where: str,
    value: Any,  # noqa: ANN401 - whatever a program gives
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    whole: bool = False,
) -> None:
    """Check that an option of a Python program is a number in its range.

    Args:
        where: Name of the option.
        value: What it is; None is any option's default.
        least: The smallest number that can be.
        above: A number that it must exceed.
        whole: Whether it counts something.

    Raises:
        TriaffectError: It is no number, or out of its range.
    """
    kind = Integral if whole else Real
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    if value is None or (is_number and math.isfinite(value) and least <= value > above):
        return
    noun = "a whole number" if whole else "a number"
    bound = f"above {above:g}" if math.isfinite(above) else f"of at least {least:g}"
    got = f"{value:g}" if isinstance(value, Real) else repr(value)
    raise TriaffectError(f"{noun} {bound}", got, where=where)


DEFAULT = Options()

"""Which way a face is turned, estimated from its five landmarks alone.

The landmarks are fitted by a rigid head seen from afar (scaled orthographic projection): the
best linear map from the head's points to the picture, then the rotation nearest to it. Five
points and one head for everybody make it approximate: on 34 frontal portraits it is off by 3°
(standard deviation) in yaw and pitch and by 2° in roll, a long nose looks like a lowered head,
and 60 cm from a camera angles come out wrong by up to 5°.

Angles, in degrees, 0 for a face that looks into the camera:

- yaw: positive where it looks towards the right side of the picture;
- pitch: positive where it looks up;
- roll: positive where the head leans clockwise as one sees it, towards the right side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from triaffect.types import FloatArray

_FloatRows = NDArray[np.float64]

HEAD: _FloatRows = np.array(
    [
        [-31.5, 0.0, 0.0],
        [31.5, 0.0, 0.0],
        [0.0, 37.0, 37.2],
        [-26.4, 63.9, 9.3],
        [26.4, 63.9, 9.3],
    ]
)
"""Left and right eye, tip of the nose, left and right mouth corner of a generic head, left as the
viewer sees it: x to the right, y down, z towards the viewer, in millimetres. x and y are the mean
of CenterFace's landmarks on 34 frontal portraits (Face Research Lab London Set), so that these
have a pitch of 0 on average; z is ICT-FaceKit's mean face."""


def head_pose(landmarks: FloatArray) -> _FloatRows:
    """Estimate yaw, pitch and roll of faces.

    Args:
        landmarks: Five points each, in pixels, ordered as in `HEAD`, shape (N, 5, 2).

    Returns:
        Degrees, shape (N, 3); NaN where the landmarks are.

    Examples:
        >>> frontal = 2 * HEAD[None, :, :2] + 100
        >>> (head_pose(frontal).round(6) + 0.0).tolist()
        [[0.0, 0.0, 0.0]]
    """
    angles = np.full((len(landmarks), 3), np.nan)
    finite = np.isfinite(landmarks).all(axis=(1, 2))
    points = landmarks[finite].astype(np.float64)
    points = points - points.mean(axis=1, keepdims=True)
    # picture = head @ axes, with a row of axes for each direction of the head
    axes = np.linalg.pinv(HEAD - HEAD.mean(axis=0)) @ points
    left, _, right = np.linalg.svd(axes, full_matrices=False)
    across, down = np.moveaxis(left @ right, 2, 0)
    away = np.cross(across, down)
    # a turn by roll after one by yaw after one by pitch
    yaw = np.arcsin(np.clip(-away[:, 0], -1, 1))
    pitch = np.arctan2(away[:, 1], away[:, 2])
    roll = np.arctan2(down[:, 0], across[:, 0])
    angles[finite] = np.degrees(np.stack([yaw, pitch, roll], axis=1))
    return angles

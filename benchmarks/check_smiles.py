"""Do smiles of real people read as smiles? Posed pictures of the Face Research Lab London Set.

    python benchmarks/check_smiles.py FOLDER

FOLDER holds ``NNN_neutral.jpg`` and ``NNN_smiling.jpg``. Prints the area under the ROC curve of
some outputs of the shipped weights, and in how many pairs the smiling picture has the greater
value. None of these pictures was learnt from.
"""

import sys
from pathlib import Path

import numpy as np

import triaffect

OUTPUTS = ("AU12", "AU6", "p_happiness", "valence")


def area_under_curve(smiling: np.ndarray, neutral: np.ndarray) -> float:
    greater = smiling[:, None] > neutral[None]
    return float((greater + 0.5 * (smiling[:, None] == neutral[None])).mean())


def main(folder: Path) -> None:
    model = triaffect.load()
    people = sorted(path.name.partition("_")[0] for path in folder.glob("*_smiling.jpg"))
    rows = {
        kind: [model.predict(folder / f"{person}_{kind}.jpg").iloc[0] for person in people]
        for kind in ("smiling", "neutral")
    }
    found = sum(row.face_seen for kind in rows.values() for row in kind)
    print(f"{len(people)} people, faces found: {found}")
    for output in OUTPUTS:
        smiling, neutral = (
            np.array([row[output] for row in rows[k]], float) for k in ("smiling", "neutral")
        )
        area, pairs = area_under_curve(smiling, neutral), (smiling > neutral).sum()
        print(f"{output:12} area {area:.3f}  greater in {pairs} of {len(people)} pairs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""How values of other programs become probabilities of action units: prints the packaged mappings.

    python benchmarks/fit_label_mappings.py DATA

DATA holds ``teachers/SET.openface.csv`` and ``SET.blendshapes.csv`` for SET = ferplus, lfw and
utkface, and ``ferplus/ferplus.npz``. A unit counts as present from the value that 95 % of the
FER+ training faces stay below which at least eight of ten raters called neutral: OpenFace's
regressors learned from people's FACS codes, but their zero differs. A blendshape's value is the one
that the same share of all those faces exceeds. A logit is worth the standard deviation over
photographs (LFW, UTKFace) divided by 1.25.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

QUANTILE, LOGITS_A_DEVIATION, VOTES = 0.95, 1.25, 8
OPENFACE = {f"AU{n}": (f"AU{n:02d}_r",) for n in (1, 2, 4, 6, 7, 10, 12, 15, 23, 25, 26)}
BLENDSHAPES = {
    "AU1": ("browInnerUp",),
    "AU2": ("browOuterUpLeft", "browOuterUpRight"),
    "AU4": ("browDownLeft", "browDownRight"),
    "AU7": ("eyeSquintLeft", "eyeSquintRight"),
    "AU10": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "AU12": ("mouthSmileLeft", "mouthSmileRight"),
    "AU24": ("mouthPressLeft", "mouthPressRight"),
    "AU25": ("lips",),
    "AU26": ("jawOpen",),
}
"""Columns whose mean says something of a unit; cheekSquint, noseSneer and mouthFrown are dead."""


def main() -> None:
    """Print both mappings as TOML."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    with np.load(data / "ferplus" / "ferplus.npz") as file:
        votes, split = file["votes"], file["split"]
        neutral = file["vote_columns"].tolist().index("neutral")
    tables = {
        (name, program): pd.read_csv(data / "teachers" / f"{name}.{program}.csv", index_col="clip")
        for name in ("ferplus", "lfw", "utkface")
        for program in ("openface", "blendshapes")
    }
    rows = tables["ferplus", "openface"].index.to_numpy(int)
    training = split[rows] == "Training"
    calm = training & (votes[rows, neutral] >= VOTES)
    share: dict[str, float] = {}
    for program, columns in (("openface", OPENFACE), ("blendshapes", BLENDSHAPES)):
        print(f"# {program}")
        for unit, names in columns.items():
            faces = tables["ferplus", program][list(names)].mean(axis=1).to_numpy()
            photographs = pd.concat(
                [tables[name, program][list(names)].mean(axis=1) for name in ("lfw", "utkface")]
            )
            if unit in share:
                half = float(np.quantile(faces[training], 1 - share[unit]))
            else:
                half = float(np.quantile(faces[calm], QUANTILE))
                share[unit] = float((faces[training] > half).mean())
            scale = float(photographs.std()) / LOGITS_A_DEVIATION
            sources = ", ".join(f'"{name}"' for name in names)
            print(f"[columns.{unit}]  # above in {share[unit]:.1%} of FER+")
            print(f"from = [{sources}]\ncenter = {half:.3g}\nscale = {scale:.3g}\n")


if __name__ == "__main__":
    main()

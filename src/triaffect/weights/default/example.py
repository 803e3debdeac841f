"""Predict with a model folder by NumPy, OpenCV, onnxruntime; run it to check golden.npz."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

X, Y = [38.2946, 73.5318, 56.0252, 41.5493, 70.7299], [51.6963, 51.5014, 71.7366, 92.3655, 92.2041]
TEMPLATE = np.array(X) + 1j * np.array(Y)
TEMPERATURES = "temperatures", "temperatures_without_face"


class Client:
    """The networks of a model folder; triaffect's reference of it explains each step."""

    def __init__(self, folder: str | Path) -> None:
        self.model = json.loads(Path(folder, "model.json").read_text("utf-8"))
        self.parts, load = self.model["parts"], onnxruntime.InferenceSession
        self.nets = {name: load(Path(folder, part["file"])) for name, part in self.parts.items()}

    def face(self, rgb: NDArray[Any], landmarks: NDArray[Any]) -> NDArray[Any]:
        """Turn a picture, uint8 (height, width, 3), and five points in pixels into a vector."""
        a, b = np.linalg.lstsq(np.column_stack([landmarks @ [1, 1j], np.ones(5)]), TEMPLATE)[0]
        matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
        crop = cv2.warpAffine(rgb, matrix, (112, 112), borderMode=cv2.BORDER_REPLICATE)
        crop = crop[26:110, 14:98] if self.parts["face"]["input"] == "gray64_close" else crop
        gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        gray = cv2.resize(gray, (64, 64), interpolation=cv2.INTER_AREA)
        return np.asarray(self.nets["face"].run(None, {"crops": gray[None]})[0][0], np.float16)

    def answer(self, faces: list[Any], voice: ArrayLike | None = None) -> dict[str, float]:
        """Predict from a face's vector or None at each position, and a voice's vector or None."""
        part, seen, spoken = self.parts["fusion"], [x is not None for x in faces], voice is not None
        vectors = [np.zeros(part["face_dim"]) if x is None else x for x in faces]
        sound = np.zeros(part["voice_dim"]) if voice is None else voice
        inputs = {"face": np.array([vectors], "f"), "face_present": np.array([seen])}
        inputs |= {"voice": np.array([sound], "f"), "voice_present": np.array([spoken])}
        enough = any(seen) or (spoken and not part.get("needs_face"))
        enough = enough and (not part.get("complete") or (spoken and all(seen)))
        answers: dict[str, float] = {}
        temperatures, own = (self.model["calibration"].get(key, {}) for key in TEMPERATURES)
        temperatures = temperatures if any(seen) else temperatures | own
        for task in self.model["tasks"] if enough else ():
            names, p = task["columns"], self.nets["fusion"].run([task["key"]], inputs)[0][0]
            power = 1 / temperatures.get(task["key"], 1)
            blank = [self.model.get("outputs", {}).get(name, {}).get("blank") for name in names]
            lacks = ["always", *["without voice"][spoken:], *["without face"][any(seen) :]]
            shown = np.array([x not in lacks for x in blank])
            if names[0].startswith("p_"):  # classes
                p = p**power / (p**power)[shown].sum()
            elif names[0].startswith("AU"):  # units, each present or not
                p, shown = 1 / (1 + (1 / p - 1) ** power), shown & any(seen)
            answers |= {names[k]: float(p[k]) for k in np.flatnonzero(shown)}
        return answers


if __name__ == "__main__":
    client = Client(folder := Path(__file__).parent)
    with np.load(folder / "golden.npz") as golden:
        face, voice = client.face(golden["rgb"], golden["landmarks"]), golden["voice"]
        width = client.nets["fusion"].get_inputs()[0].shape[1]
        for kind, faces in ("moment", [face] * width), ("sound", [None] * width):
            answers = client.answer(faces, voice[golden["voice_row"]])
            for task in client.model["tasks"]:
                ours = [answers.get(name, np.nan) for name in task["columns"]]
                np.testing.assert_allclose(ours, golden[f"{kind}.{task['key']}"], 0, 1e-4)

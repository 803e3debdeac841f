"""Predict with a model folder by NumPy, OpenCV and onnxruntime; run it to check golden.npz.

For models that read gray64 or gray64_close and logmel64. What it takes and why stands in
triaffect's reference of the model folder.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

X, Y = [38.2946, 73.5318, 56.0252, 41.5493, 70.7299], [51.6963, 51.5014, 71.7366, 92.3655, 92.2041]
TEMPLATE = np.array(X) + 1j * np.array(Y)  # eyes, nose, corners of the mouth, left to right


class Client:
    """The networks of a model folder, and what lies before and after them."""

    def __init__(self, folder: str | Path) -> None:
        self.model = json.loads(Path(folder, "model.json").read_text("utf-8"))
        self.parts, load = self.model["parts"], onnxruntime.InferenceSession
        self.nets = {name: load(Path(folder, part["file"])) for name, part in self.parts.items()}
        window = self.parts["fusion"]["window"]
        steps = round(window["span_s"] / window["hop_s"])
        first = -steps if window["causal"] else -steps / 2
        self.offsets_s = (first + np.arange(steps + 1)) * window["hop_s"]

    def face(self, rgb: Any, landmarks: Any) -> Any:  # noqa: ANN401 - for readers of any library
        """Turn a picture, uint8 (height, width, 3), and five points in pixels into a vector."""
        points = np.asarray(landmarks, float) @ [1, 1j]
        spread, target = points - points.mean(), TEMPLATE - TEMPLATE.mean()
        a = np.vdot(spread, target) / np.vdot(spread, spread).real
        b = TEMPLATE.mean() - a * points.mean()
        matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
        crop = cv2.warpAffine(rgb, matrix, (112, 112), borderMode=cv2.BORDER_REPLICATE)
        crop = crop[26:110, 14:98] if self.parts["face"]["input"] == "gray64_close" else crop
        gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        gray = cv2.resize(gray, (64, 64), interpolation=cv2.INTER_AREA)
        return self.nets["face"].run(None, {"crops": gray[None]})[0][0].astype(np.float16)

    def voices(self, sound: Any) -> Any:  # noqa: ANN401
        """Turn a sound, 16,000 samples/s in [-1, 1], into a vector every hop, from time 0 on."""
        frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, (120, 400)), 400)[::160]
        power = np.abs(np.fft.rfft(frames * np.hanning(401)[:-1], 512)) ** 2
        low, high = 2595 * np.log10(1 + np.array([60, 7600]) / 700)
        mel = np.linspace(low, high, 66)
        hz, bins = 700 * (10 ** (mel / 2595) - 1), np.arange(257)[:, None] * 31.25
        rise, fall = (bins - hz[:-2]) / np.diff(hz)[:-1], (hz[2:] - bins) / np.diff(hz)[1:]
        total, part = -(-len(sound) // 160), self.parts["voice"]
        rows = np.log(power @ np.minimum(rise, fall).clip(0) + 1e-6)[:total].astype(np.float16)
        length, hop_s = round(100 * part["span_s"]), part["hop_s"]
        pads = (length if part["causal"] else length // 2, length), (0, 0)
        rows = np.pad(rows, pads, constant_values=-13.8125).astype(np.float32)
        starts = np.rint(100 * hop_s * np.arange(total + 1)).astype(int)
        starts = starts[starts <= total]
        every = 1 if part["causal"] else max(1, int(part["span_s"] / 3 / hop_s + 1e-6))
        runs = sorted({*range(0, len(starts), every), len(starts) - 1})
        spectra = np.stack([rows[start : start + length] for start in starts[runs]])
        vectors = self.nets["voice"].run(None, {"logmel": spectra})[0]
        numbers = np.arange(len(starts))
        filled = [np.interp(numbers, runs, column) for column in vectors.T]
        return np.stack(filled, axis=1).astype(np.float16)

    def answer(self, faces: Sequence[Any], voice: Any = None) -> dict[str, float]:  # noqa: ANN401
        """Predict from a face vector or None at each of offsets_s, and a voice vector or None."""
        fusion, has_faces = self.parts["fusion"], [each is not None for each in faces]
        has_voice, absent = voice is not None, np.zeros(fusion["face_dim"])
        enough = all(has_faces) and has_voice if fusion.get("complete") else any(has_faces)
        if not enough and (fusion.get("complete") or fusion.get("needs_face") or not has_voice):
            return {}
        inputs = {
            "face": np.array([[absent if x is None else x for x in faces]], np.float32),
            "face_present": np.array([has_faces]),
            "voice": np.array([voice if has_voice else [0] * fusion["voice_dim"]], np.float32),
            "voice_present": np.array([has_voice]),
        }
        answers, outputs = dict[str, float](), self.model.get("outputs", {})
        for task in self.model["tasks"]:
            columns, p = task["columns"], self.nets["fusion"].run([task["key"]], inputs)[0][0]
            blank = [outputs.get(name, {}).get("blank", "never") for name in columns]
            shown = np.array([x == "never" or (x != "always" and has_voice) for x in blank])
            exponent = 1 / self.model["calibration"].get("temperatures", {}).get(task["key"], 1)
            if columns[0].startswith("p_"):  # classes
                p = p.astype(float).clip(1e-7, 1 - 1e-7) ** exponent
                p = p / p[shown].sum()
            elif columns[0].startswith("AU"):  # units, each present or not
                p = p.astype(float).clip(1e-7, 1 - 1e-7)
                p = p**exponent / (p**exponent + (1 - p) ** exponent)
                shown &= any(has_faces)
            answers |= {columns[k]: float(p[k]) for k in np.flatnonzero(shown)}
        return answers


def check(folder: Path) -> None:
    """Predict golden.npz: AssertionError if an answer is another by more than 1e-4."""
    client, golden = Client(folder), np.load(folder / "golden.npz", allow_pickle=False)
    face = client.face(golden["rgb"], golden["landmarks"])
    voice = client.voices(golden["sound"] / 32768)[golden["voice_row"]]
    still = client.answer([None if offset_s else face for offset_s in client.offsets_s])
    moment = client.answer([face] * len(client.offsets_s), voice)
    for kind, answers in (("still", still), ("moment", moment)):
        for task in client.model["tasks"]:
            ours = [answers.get(name, np.nan) for name in task["columns"]]
            np.testing.assert_allclose(ours, golden[f"{kind}.{task['key']}"], rtol=0, atol=1e-4)


if __name__ == "__main__":
    check(Path(__file__).parent)
    sys.stdout.write("answers as golden.npz says\n")

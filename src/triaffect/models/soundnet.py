"""SoundNet-8 (Aytar, Vondrick and Torralba, 2016), the voice network of the published system.

Input: (N, samples) of mono sound at 22,050 Hz, scaled by 255 and clipped to [-255, 255]; the
published system gives it 10 s. Its weights are not shipped; `triaffect.models.base.load_weights`
takes others of the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from triaffect.models.keras_layers import BATCH_NORM_EPS


@dataclass(frozen=True)
class _Layer:
    filters: int
    kernel: int
    padding: int
    pool: int = 1


LAYERS = (
    _Layer(16, 64, 32, pool=8),
    _Layer(32, 32, 16, pool=8),
    _Layer(64, 16, 8),
    _Layer(128, 8, 4),
    _Layer(256, 4, 2, pool=4),
    _Layer(512, 4, 2),
    _Layer(1024, 4, 2),
)
"""All with stride 2."""

OBJECTS, SCENES = 1000, 401
HEAD_KERNEL = 8


class SoundNet8(nn.Module):
    """Seven 1-D convolutions and two heads; the system uses the object classes' first step."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for layer in LAYERS:
            layers += [
                nn.Conv1d(inputs, layer.filters, layer.kernel, 2, layer.padding),
                nn.BatchNorm1d(layer.filters, eps=BATCH_NORM_EPS),
                nn.ReLU(),
            ]
            layers += [nn.MaxPool1d(layer.pool)] if layer.pool > 1 else []
            inputs = layer.filters
        self.body = nn.Sequential(*layers)
        self.objects = nn.Conv1d(inputs, OBJECTS, HEAD_KERNEL, 2)
        self.scenes = nn.Conv1d(inputs, SCENES, HEAD_KERNEL, 2)

    def heads(self, sound: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the logits of object and scene classes over time.

        Args:
            sound: Mono samples at 22,050 Hz in [-255, 255], shape (N, samples).

        Returns:
            Logits (N, 1000, S) and (N, 401, S), of S steps; 10 s are one step.
        """
        maps = self.body(sound.unsqueeze(1))
        return self.objects(maps), self.scenes(maps)

    def forward(self, sound: Tensor) -> Tensor:
        """Compute the logits of the first step's objects.

        Args:
            sound: Mono samples at 22,050 Hz in [-255, 255], shape (N, samples).

        Returns:
            Shape (N, 1000).
        """
        objects, _ = self.heads(sound)
        return objects[:, :, 0]

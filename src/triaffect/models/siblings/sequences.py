"""Networks of published systems that look along the face vectors of a window.

They answer every place of their windows, so that whole sequences can be learned from at once
(``data.sequences``); the answer for a moment is that of its own place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from triaffect.errors import RecipeError
from triaffect.models.attention import EncoderLayer, sinusoidal_positions
from triaffect.models.base import NetworkShape, NetworkSpec, Outputs, SpecNetwork, optional_key
from triaffect.models.siblings.frames import FaceVectors
from triaffect.tasks.task import Task
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

Recurrence = Literal["none", "forward", "both"]


class TaskBranchesSpec(NetworkSpec):
    """A branch for each task.

    Attributes:
        dense: Width of a dense layer between batch norms at the beginning; 0 for none.
        recurrence: Units that look back, both ways with half the width each, or none.
        width: Of what they leave.
        dropout: Share of activations dropped before the last layer while training.
        batch_axis: As the authors of EMENet coded it, the recurrence goes from window to window
            of a batch, place by place, instead of along each window. A window that is predicted is
            a batch of its own, of which every place begins anew.
    """

    kind: Literal["task_branches"]
    dense: int = 128
    recurrence: Recurrence = "none"
    width: int = 128
    dropout: float = Field(default=0.0, ge=0, lt=1)
    batch_axis: bool = False


class TaskBranch(nn.Module):
    """From vectors of a window to one task's raw outputs at every place.

    Args:
        inputs: Length of a vector.
        outputs: Raw outputs K.
        spec: The layers.
    """

    def __init__(self, inputs: int, outputs: int, spec: TaskBranchesSpec) -> None:
        super().__init__()
        self.batch_axis, width = spec.batch_axis, inputs
        self.before: nn.Sequential | None = None
        if spec.dense:
            dense = nn.Linear(inputs, spec.dense)
            norms = nn.BatchNorm1d(inputs), nn.BatchNorm1d(spec.dense)
            self.before = nn.Sequential(norms[0], dense, nn.ReLU(), norms[1])
            width = spec.dense
        self.memory: nn.GRU | None = None
        if spec.recurrence != "none":
            both = spec.recurrence == "both"
            hidden = spec.width // 2 if both else spec.width
            self.memory = nn.GRU(width, hidden, batch_first=True, bidirectional=both)
            width = hidden * (1 + both)
        after: list[nn.Module] = [nn.ReLU()] if spec.dense and self.memory is not None else []
        self.after = nn.Sequential(*after, nn.Dropout(spec.dropout), nn.Linear(width, outputs))

    def forward(self, faces: Tensor) -> Tensor:
        """Compute raw outputs (N, W, K) of face vectors (N, W, F)."""
        windows, length, width = faces.shape
        x = faces
        if self.before is not None:
            x = self.before(x.reshape(-1, width)).unflatten(0, (windows, length))
        if self.memory is not None and not self.batch_axis:
            x = self.memory(x)[0]
        elif self.memory is not None and self.training:
            x = self.memory(x.transpose(0, 1))[0].transpose(0, 1)
        elif self.memory is not None:
            x = self.memory(x.flatten(0, 1).unsqueeze(1))[0].unflatten(0, (windows, length))[
                :, :, 0
            ]
        y: Tensor = self.after(x)
        return y


class TaskBranches(SpecNetwork):
    """The networks of Deng and others after their convolutional layers: a branch for each task.

    Args:
        spec: The layers of a branch.
        shape: What it is built for.
    """

    spec: ClassVar = TaskBranchesSpec
    input: ClassVar = "windows"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = False
    reads_voice: ClassVar = False
    reads_single_faces: ClassVar = True
    answers_sequence: ClassVar = True

    def __init__(self, spec: TaskBranchesSpec, shape: NetworkShape) -> None:
        super().__init__()
        self.face = FaceVectors(shape)
        self.branches = nn.ModuleDict(
            {task.key: TaskBranch(shape.face_dim, task.raw_width, spec) for task in shape.tasks}
        )

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute raw outputs.

        Args:
            inputs: ``face`` (N, W, F) and ``face_present`` (N, W); others are left alone.

        Returns:
            Raw outputs of every task at the moments (N, K) and at every place (N, W, K), and the
            vectors of the moments.
        """
        faces = self.face(inputs)
        every = {key: branch(faces) for key, branch in self.branches.items()}
        raw = {key: values[:, self.face.position] for key, values in every.items()}
        return Outputs(raw, None, faces[:, self.face.position], every)


class ShareBottomSpec(NetworkSpec):
    """Sizes as in the released program.

    Attributes:
        width: Of the transformer.
        layers: How many layers there are, ``shared`` of them for all tasks.
        inner: Width of a layer's dense part.
        head_width: Width of one head of the attention.
        head: Widths of each output's dense layers.
        feedback: Outputs whose last hidden vectors, without gradient, are appended to what the
            private layers of another output see. Valence and arousal are outputs of their own.
        dropout: Share of activations dropped while training.
    """

    kind: Literal["share_bottom"]
    width: int = 1024
    layers: int = 4
    shared: int = 1
    inner: int = 2048
    head_width: int = 64
    head: tuple[int, ...] = (512, 256)
    feedback: dict[str, tuple[str, ...]] = optional_key({})
    dropout: float = Field(default=0.3, ge=0, lt=1)


class PrivateLayers(nn.Module):
    """The layers that one output has to itself.

    Args:
        width: Length of what comes in.
        outputs: Raw outputs K.
        spec: Their sizes.
    """

    def __init__(self, width: int, outputs: int, spec: ShareBottomSpec) -> None:
        super().__init__()
        heads, rate = max(1, width // spec.head_width), spec.dropout
        self.encode = nn.Sequential(
            *(
                EncoderLayer(width, heads, spec.inner, rate)
                for _ in range(spec.layers - spec.shared)
            )
        )
        hidden: list[nn.Module] = []
        for inner in spec.head:
            hidden += [nn.Dropout(rate), nn.Linear(width, inner), nn.ReLU()]
            width = inner
        self.hidden = nn.Sequential(*hidden)
        self.output = nn.Sequential(nn.Dropout(rate), nn.Linear(width, outputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute raw outputs (N, W, K), and what the last layer sees, of vectors (N, W, D)."""
        hidden = self.hidden(self.encode(x))
        return self.output(hidden), hidden


class ShareBottomNet(SpecNetwork):
    """A transformer over a segment of face vectors whose first layer is shared by all outputs.

    Args:
        spec: Its sizes.
        shape: What it is built for.

    Raises:
        RecipeError: Feedback from or to an output that there is not, or one that has some itself;
            or a width that the heads cannot share.
    """

    spec: ClassVar = ShareBottomSpec
    input: ClassVar = "windows"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = False
    reads_voice: ClassVar = False
    answers_sequence: ClassVar = True

    def __init__(self, spec: ShareBottomSpec, shape: NetworkShape) -> None:
        super().__init__()
        self.face, self.tasks = FaceVectors(shape), [task.key for task in shape.tasks]
        outputs = self._outputs(shape.tasks)
        self.feedback = {
            name: own for name, own in spec.feedback.items() if name in outputs and own
        }
        self._check(spec, outputs)
        self.project = nn.Linear(shape.face_dim, spec.width)
        self.drop, self.width = nn.Dropout(spec.dropout), spec.width
        heads = max(1, spec.width // spec.head_width)
        self.bottom = nn.Sequential(
            *(EncoderLayer(spec.width, heads, spec.inner, spec.dropout) for _ in range(spec.shared))
        )
        self.private = nn.ModuleDict()
        for name in sorted(outputs, key=lambda each: each in self.feedback):
            extra = len(self.feedback.get(name, ())) * (spec.head[-1] if spec.head else 0)
            self.private[name] = PrivateLayers(spec.width + extra, outputs[name], spec)

    @staticmethod
    def _outputs(tasks: Sequence[Task]) -> dict[str, int]:
        """Name the outputs and their widths: a task each, valence and arousal apart."""
        widths: dict[str, int] = {}
        for task in tasks:
            if task.key == VALENCE_AROUSAL.key:
                each = task.raw_width // task.width
                widths |= dict.fromkeys(task.columns, each)
            else:
                widths[task.key] = task.raw_width
        return widths

    def _check(self, spec: ShareBottomSpec, outputs: Mapping[str, int]) -> None:
        for name, sources in self.feedback.items():
            for source in sources:
                if source not in outputs or source in self.feedback or not spec.head:
                    expected = f"net.feedback of {name} from an output that has none itself"
                    raise RecipeError(expected, source, "outputs: " + ", ".join(outputs))
        widths = [spec.width, *(spec.head[-1:] if self.feedback else ())]
        if any(width % spec.head_width and width >= spec.head_width for width in widths):
            raise RecipeError(f"widths in whole heads of {spec.head_width}", str(widths))

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute raw outputs.

        Args:
            inputs: ``face`` (N, W, F) and ``face_present`` (N, W); others are left alone.

        Returns:
            Raw outputs of every task at the moments (N, K) and at every place (N, W, K), and the
            shared features of the moments.
        """
        faces = self.face(inputs)
        positions = sinusoidal_positions(faces.shape[1], self.width).to(faces.device)
        shared = self.bottom(self.drop(self.project(faces) + positions))
        answers: dict[str, Tensor] = {}
        hidden: dict[str, Tensor] = {}
        for name, layers in self.private.items():
            sources = [hidden[each].detach() for each in self.feedback.get(name, ())]
            answers[name], hidden[name] = layers(torch.cat([shared, *sources], 2))
        every = {}
        for key in self.tasks:
            own = VALENCE_AROUSAL.columns if key == VALENCE_AROUSAL.key else (key,)
            every[key] = torch.cat([answers[name] for name in own], 2)
        raw = {key: values[:, self.face.position] for key, values in every.items()}
        return Outputs(raw, None, shared[:, self.face.position], every)

"""Networks of published systems that look at single gray crops.

The systems are those of docs/siblings.md. Their colored crops of 128 or 224 pixels are the store's
gray ones of 64 here, enlarged where a recipe says so; each is standardized by its own mean and
deviation.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny
from torch import Tensor, nn
from torch.nn import functional as F

from triaffect.errors import RecipeError
from triaffect.models.attention import EncoderLayer
from triaffect.models.base import (
    EmaTarget,
    Latents,
    NetworkShape,
    NetworkSpec,
    Outputs,
    SpecNetwork,
    find_network,
    read_network_spec,
)
from triaffect.models.light_face import (
    LightFace,
    linear_heads,
    residual_stages,
    standardize_crops,
)

INNER = 4
"""How much wider a transformer is between its two dense layers."""


def enlarge(crops: Tensor, side: int) -> Tensor:
    """Standardize crops, and bring them to the side that a network takes.

    Args:
        crops: Gray levels in [0, 255] of any dtype, shape (N, H, H).
        side: Pixels S of a side; interpolated bilinearly where it is not H.

    Returns:
        Shape (N, 1, S, S), float32.
    """
    x = standardize_crops(crops)
    if x.shape[-1] != side:
        x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
    return x


class PatchTransformer(nn.Module):
    """A vision transformer from a crop to a vector (Dosovitskiy et al. 2021, arXiv:2010.11929).

    Args:
        side: Pixels of a side of the crops.
        patch: Pixels of a side of a patch.
        width: Length D of a vector.
        depth: Layers.
        heads: Heads of each layer's attention.
        drop_path: Share of rows whose last layer is left out while training; less, in steps, of
            the layers before it.

    Raises:
        RecipeError: Sides are no whole number of patches, or widths no whole number of heads.
    """

    def __init__(
        self, side: int, patch: int, width: int, depth: int, heads: int, drop_path: float
    ) -> None:
        super().__init__()
        if side % patch or width % heads:
            got = f"{side} by {patch}, {width} by {heads}"
            raise RecipeError("net.side in whole patches, net.width in whole heads", got)
        self.patches = nn.Conv2d(1, width, patch, patch)
        self.token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, (side // patch) ** 2 + 1, width))
        rates = [drop_path * layer / max(depth - 1, 1) for layer in range(depth)]
        self.blocks = nn.ModuleList(
            EncoderLayer(width, heads, INNER * width, 0.0, "gelu", norm_first=True, drop_path=rate)
            for rate in rates
        )
        self.norm = nn.LayerNorm(width)
        for parameter in (self.token, self.positions):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, crops: Tensor, mask: float = 0.0) -> Tensor:
        """Compute the vector of the token that stands before the patches.

        Args:
            crops: Shape (N, 1, S, S).
            mask: Share of the patches that are left out, other ones of each crop; one remains.

        Returns:
            Shape (N, D).
        """
        x = self.patches(crops).flatten(2).transpose(1, 2) + self.positions[:, 1:]
        if mask:
            count = max(1, round((1 - mask) * x.shape[1]))
            remaining = torch.rand(x.shape[:2], device=x.device).argsort(1)[:, :count, None]
            x = x.gather(1, remaining.expand(-1, -1, x.shape[2]))
        first = (self.token + self.positions[:, :1]).expand(x.shape[0], -1, -1)
        x = torch.cat([first, x], 1)
        for block in self.blocks:
            x = block(x)
        vectors: Tensor = self.norm(x)[:, 0]
        return vectors


class MaskedViewsSpec(NetworkSpec):
    """Sizes of a vision transformer that trains on two cores; ViT-B/16 is 224, 16, 768, 12, 12.

    Attributes:
        side: Pixels of a side that a crop is brought to.
        patch: Pixels of a side of a patch.
        width: Length of a vector.
        depth: Layers.
        heads: Heads of the attention.
        views: How many networks look at a crop, each at patches of its own.
        mask: Share of the patches that each leaves out while training.
        drop_path: Share of rows whose last layer is left out while training.
    """

    kind: Literal["masked_views"]
    side: int = Field(default=64, ge=1)
    patch: int = Field(default=8, ge=1)
    width: int = Field(default=128, ge=1)
    depth: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    views: int = Field(default=2, ge=2)
    mask: float = Field(default=0.75, ge=0, lt=1)
    drop_path: float = Field(default=0.1, ge=0, lt=1)


class MaskedViews(SpecNetwork):
    """CoTEX: transformers without shared parameters that see other patches of the same crop.

    While training each answers by itself, from the patches that it sees; afterwards each sees
    all of them, and the answers are added.

    Args:
        spec: Its sizes.
        shape: What it is built for; only its tasks count.
    """

    spec: ClassVar = MaskedViewsSpec
    input: ClassVar = "crops"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = False
    answers_views: ClassVar = True

    def __init__(self, spec: MaskedViewsSpec, shape: NetworkShape) -> None:
        super().__init__()
        self.side, self.mask = spec.side, spec.mask
        sizes = spec.side, spec.patch, spec.width, spec.depth, spec.heads, spec.drop_path
        self.views = nn.ModuleList(PatchTransformer(*sizes) for _ in range(spec.views))
        self.heads = nn.ModuleList(linear_heads(spec.width, shape.tasks) for _ in self.views)

    def layers(self) -> list[list[str]]:
        """List the names of its parts by depth, the nearest to the crop first."""
        views = [f"views.{number}" for number in range(len(self.views))]
        start = ("patches", "token", "positions")
        depth = len(self.views[0].blocks)  # type: ignore[arg-type]
        blocks = [[f"{view}.blocks.{layer}" for view in views] for layer in range(depth)]
        return [[f"{view}.{part}" for view in views for part in start], *blocks]

    def encode(self, crops: Tensor) -> Tensor:
        """Compute the vectors of all views, of masked crops while training.

        Args:
            crops: Gray levels in [0, 255] of any dtype, shape (N, 64, 64).

        Returns:
            The views' vectors side by side, shape (N, views * width).
        """
        x, mask = enlarge(crops, self.side), self.mask if self.training else 0.0
        return torch.cat([view(x, mask) for view in self.views], 1)

    def answer(self, features: Tensor) -> dict[str, Tensor]:
        """Add the views' answers.

        Args:
            features: As `encode` gives them.

        Returns:
            Raw outputs by task key, shape (N, K) each.
        """
        views = self._view_answers(features)
        return {key: torch.stack([view[key] for view in views]).sum(0) for key in views[0]}

    def _view_answers(self, features: Tensor) -> list[dict[str, Tensor]]:
        """Compute each view's raw outputs (N, K) by task key."""
        parts = zip(features.chunk(len(self.heads), 1), self.heads, strict=True)
        return [{key: head(part) for key, head in heads.items()} for part, heads in parts]  # type: ignore[operator]

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute raw outputs.

        Args:
            inputs: ``crop`` (N, 64, 64).

        Returns:
            Raw outputs of every task, the sum of the views', and the vectors of all views; while
            training also the views' own raw outputs.
        """
        features = self.encode(inputs["crop"])
        views = tuple(self._view_answers(features)) if self.training else ()
        return Outputs(self.answer(features), None, features, views=views)


class Bottleneck(nn.Module):
    """Convolutions of 1x1, 3x3 and 1x1, narrow in between, beside a shortcut (He et al. 2016).

    Args:
        inputs: Channels of the maps that come in.
        outputs: Channels of those that come out, four times those in between.
        stride: Of the middle convolution and of the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = outputs // 4
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Turn maps (N, inputs, H, W) into maps (N, outputs, H / stride, W / stride)."""
        return torch.relu(self.body(x) + self.shortcut(x))


class LatentFaceSpec(NetworkSpec):
    """A residual network of a size that trains on two cores; the published one is a ResNet-50.

    Attributes:
        side: Pixels of a side that a crop is brought to.
        stem: Channels of the first convolution.
        widths: Channels of each stage.
        blocks: Residual blocks of each stage.
        bottleneck: Blocks of three convolutions, narrow in between, as ResNet-50 has them.
        hidden: Width between the dense layers of projector and predictor.
        latent: Length of a latent.
        target_decay: Share of the target that an update leaves.
        dropout: On the features, before the heads.
    """

    kind: Literal["latent_face"]
    side: int = Field(default=64, ge=8)
    stem: int = Field(default=32, ge=1)
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    bottleneck: bool = False
    hidden: int = Field(default=512, ge=1)
    latent: int = Field(default=64, ge=1)
    target_decay: float = Field(default=0.99, ge=0, lt=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)


class LatentParts(nn.Module):
    """What a stage that learns latents has beside the encoder, and a model has not.

    Args:
        encoder: From crops to features.
        features: Length of them.
        classes: Classes K whose vectors are learned.
        spec: Widths.
    """

    def __init__(
        self, encoder: nn.Module, features: int, classes: int, spec: LatentFaceSpec
    ) -> None:
        super().__init__()

        def dense(inputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(inputs, spec.hidden),
                nn.BatchNorm1d(spec.hidden),
                nn.ReLU(),
                nn.Linear(spec.hidden, spec.latent),
            )

        self.projector, self.predictor = dense(features), dense(spec.latent)
        self.target = EmaTarget(nn.Sequential(encoder, self.projector), spec.target_decay)
        self.vectors = nn.Parameter(torch.empty(spec.latent, classes))
        nn.init.orthogonal_(self.vectors)
        self.norm = nn.BatchNorm1d(classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the target's latents, and compute logits of the classes from that.

        Args:
            features: Shape (N, F).

        Returns:
            Predicted latents (N, D), and logits (N, K): how far they go along each vector.
        """
        predicted = self.predictor(self.projector(features))
        return predicted, self.norm(predicted @ self.vectors)


class LatentFace(SpecNetwork):
    """BYEL: features of two variations of a crop that predict each other, without the emotion.

    In a stage with `bootstrap` each predicts what a slowly following copy of the network says of
    the other, and classes are read from the predictions. A stage without has heads on the
    features, which is what is left in the model.

    Args:
        spec: Its sizes.
        shape: What it is built for.

    Raises:
        RecipeError: Latents are to be learned of other tasks than a single one of classes.
    """

    spec: ClassVar = LatentFaceSpec
    input: ClassVar = "crops"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = False
    answers_latents: ClassVar = True

    def __init__(self, spec: LatentFaceSpec, shape: NetworkShape) -> None:
        super().__init__()
        self.side = spec.side
        self.encoder = nn.Sequential(
            nn.Conv2d(1, spec.stem, 7, 2, 3, bias=False),
            nn.BatchNorm2d(spec.stem),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            residual_stages(
                spec.stem, spec.widths, spec.blocks, block=Bottleneck if spec.bottleneck else None
            ),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        for module in self.encoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.dropout = nn.Dropout(spec.dropout)
        self.latent: LatentParts | None = None
        self.task = shape.tasks[0]
        if not shape.latent:
            self.heads = linear_heads(spec.widths[-1], shape.tasks)
            return
        if len(shape.tasks) > 1 or not self.task.exclusive:
            got = ", ".join(task.key for task in shape.tasks)
            raise RecipeError("one task of classes for a stage with bootstrap", got)
        self.latent = LatentParts(self.encoder, spec.widths[-1], self.task.width, spec)

    def encode(self, crops: Tensor) -> Tensor:
        """Compute the features of crops.

        Args:
            crops: Gray levels in [0, 255] of any dtype, shape (N, 64, 64).

        Returns:
            Shape (N, F), never negative.
        """
        features: Tensor = self.encoder(enlarge(crops, self.side))
        return features

    def answer(self, features: Tensor) -> dict[str, Tensor]:
        """Compute raw outputs of features.

        Args:
            features: As `encode` gives them.

        Returns:
            Raw outputs by task key, shape (N, K) each.
        """
        if self.latent is not None:
            return {self.task.key: self.latent(features)[1]}
        return {key: head(features) for key, head in self.heads.items()}

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute raw outputs, and latents where those are learned.

        Args:
            inputs: ``crop`` (N, 64, 64), and to learn latents another variation of it, ``crop_2``.

        Returns:
            Raw outputs of every task and the features, of ``crop``; of both variations, where
            latents are learned, their raw outputs as views, and their latents.
        """
        features = self.encode(inputs["crop"])
        if self.latent is None or not self.training:
            return Outputs(self.answer(self.dropout(features)), None, features)
        predicted, logits = self.latent(features)
        other, other_logits = self.latent(self.encode(inputs["crop_2"]))
        targets = [
            self.latent.target(enlarge(inputs[name], self.side)) for name in ("crop", "crop_2")
        ]
        key, pair = self.task.key, (predicted, other)
        latents = Latents(key, pair, (targets[0], targets[1]), self.latent.vectors)
        views = tuple({key: each} for each in (logits, other_logits))
        return Outputs(views[0], None, features, views=views, latents=latents)

    def after_step(self) -> None:
        """Let the target follow what the optimizer has changed."""
        if self.latent is not None:
            self.latent.target.follow(nn.Sequential(self.encoder, self.latent.projector))


class FaceEncoderSpec(NetworkSpec):
    """A face network and what stands behind it; sizes are those of the shipped face network.

    Attributes:
        widths: Channels of each stage.
        blocks: Residual blocks of each stage.
        features: Length of the vector.
        head: The network behind it: the ``[net]`` table of a recipe on vectors of single faces.
    """

    kind: Literal["face_encoder"]
    widths: tuple[int, ...] = (40, 80, 160, 272)
    blocks: tuple[int, ...] = (1, 2, 2, 1)
    features: int = Field(default=128, ge=1)
    head: Annotated[SerializeAsAny[NetworkSpec], BeforeValidator(read_network_spec)]


class FaceEncoder(SpecNetwork, LightFace):
    """A system on vectors of single faces, behind a face network that learns with it from crops.

    The face network is `LightFace`, whose trained weights it can begin with. ``heads.face`` is
    the system's own network, as it stands on a stored vector.

    Args:
        spec: Its sizes.
        shape: What it is built for; only its tasks count.

    Raises:
        RecipeError: The network behind reads more than single faces.
    """

    spec: ClassVar = FaceEncoderSpec

    def __init__(self, spec: FaceEncoderSpec, shape: NetworkShape) -> None:
        super().__init__((), spec.widths, spec.blocks, spec.features, 0.0)
        network = find_network(spec.head.kind)
        if not getattr(network, "reads_single_faces", False):
            raise RecipeError("net.head to read single faces alone", f"the net {spec.head.kind}")
        behind = NetworkShape(shape.tasks, spec.features)
        self.heads = nn.ModuleDict({"face": network.build(spec.head, behind)})

    def answer(self, features: Tensor) -> dict[str, Tensor]:
        """Compute raw outputs of features.

        Args:
            features: As `encode` gives them.

        Returns:
            Raw outputs by task key, shape (N, K) each.
        """
        present = torch.ones((features.shape[0], 1), dtype=torch.bool, device=features.device)
        outputs: Outputs = self.heads["face"]({"face": features[:, None], "face_present": present})
        return outputs.raw

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute raw outputs.

        Args:
            inputs: ``crop`` (N, 64, 64).

        Returns:
            Raw outputs of every task, and the features.
        """
        features = self.encode(inputs["crop"])
        return Outputs(self.answer(features), None, features)

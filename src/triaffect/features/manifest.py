"""What ``model.json`` says about a model folder, and how it is read and written.

`triaffect.features.model_folder` documents the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from triaffect.errors import ModelError
from triaffect.types import Window

FORMAT = 1
FACE_INPUTS = ("gray64", "rgb224")
SOUNDNET = "soundnet22050"
VOICE_INPUTS = ("logmel64", "wave22050", SOUNDNET)
SOUNDNET_BLOCKS = 2
"""How many networks stand before `VoicePart.file` with that input, and none with the others."""

T = TypeVar("T")


@dataclass(frozen=True)
class FacePart:
    """A network from one aligned face crop to a vector.

    Attributes:
        file: Its ONNX file within the folder.
        extractor: Name of the network, kept in every store made with it.
        input: Preprocessing, one of `FACE_INPUTS`.
        dim: Width of the vector.
        sha256: Hash of the file; filled in when the folder is written.
    """

    file: str
    extractor: str
    input: str
    dim: int
    sha256: str = ""


@dataclass(frozen=True)
class VoicePart:
    """A network from a stretch of sound to a vector.

    Attributes:
        file: Its ONNX file within the folder.
        extractor: Name of the network, kept in every store made with it.
        input: Preprocessing, one of `VOICE_INPUTS`.
        dim: Width of the vector.
        window: ``span_s`` of sound go into each vector, a vector every ``hop_s``; a causal
            one hears only what came before its moment.
        sha256: Hash of the file; filled in when the folder is written.
        blocks: Files of the layers before it, first to last, for `SOUNDNET`; their hashes are
            among the manifest's files, and named in ``file``, so that its own hash tells all.
    """

    file: str
    extractor: str
    input: str
    dim: int
    window: Window
    sha256: str = ""
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class FusionPart:
    """The network from face vectors over a window, and a voice vector, to every task.

    Attributes:
        file: Its ONNX file within the folder.
        window: Which instants' face vectors it takes.
        face_dim: Width of a face vector.
        voice_dim: Width of the voice vector.
        sha256: Hash of the file; filled in when the folder is written.
        complete: It predicts only moments with every face of their window, and their voice.
    """

    file: str
    window: Window
    face_dim: int
    voice_dim: int
    sha256: str = ""
    complete: bool = False


Part = FacePart | VoicePart | FusionPart


@dataclass(frozen=True)
class Manifest:
    """What ``model.json`` says.

    Attributes:
        name: Name of the model.
        version: Its version.
        licence: What its weights may be used for.
        tasks: For each output its ``key``, ``name`` and ``columns``, in order.
        face: Face network, if the folder has one.
        voice: Voice network, if the folder has one.
        fusion: Fusing network, if the folder has one.
        thresholds: Action units present from this probability on; the rest from 0.5.
        recipe: The resolved recipe that trained it.
        versions: Versions of what wrote it.
        label_origins: By task key, where the labels came from that it learnt.
        files: Hash of each further file, such as weights to train on; filled in when the
            folder is written.
    """

    name: str
    version: str
    licence: str
    tasks: tuple[Mapping[str, Any], ...] = ()
    face: FacePart | None = None
    voice: VoicePart | None = None
    fusion: FusionPart | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    label_origins: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Part]:
        """The networks there are, by "face", "voice" and "fusion"."""
        every = {"face": self.face, "voice": self.voice, "fusion": self.fusion}
        return {name: part for name, part in every.items() if part is not None}


def to_json(manifest: Manifest) -> dict[str, Any]:
    """The description as it is written."""
    parts = {name: _part_to_json(part) for name, part in manifest.parts.items()}
    return {
        "format": FORMAT,
        "name": manifest.name,
        "version": manifest.version,
        "licence": manifest.licence,
        "tasks": [dict(task) for task in manifest.tasks],
        "parts": parts,
        "calibration": {"thresholds": dict(manifest.thresholds)},
        "recipe": dict(manifest.recipe),
        "versions": dict(manifest.versions),
        "label_origins": dict(manifest.label_origins),
        "files": dict(manifest.files),
    }


def _part_to_json(part: Part) -> dict[str, Any]:
    content = asdict(part)
    if isinstance(part, VoicePart):
        content |= content.pop("window")
        if not part.blocks:
            del content["blocks"]
    return content


def read_manifest(content: object, where: Path) -> Manifest:
    """The description from its JSON content.

    Raises:
        ModelError: If a field is missing, ill-typed or unknown to this version; ``where``
            names the file in the message.
    """
    fields = _Fields(content, where)
    if fields.content.get("format") != FORMAT:
        raise ModelError(
            f"format {FORMAT}",
            repr(fields.content.get("format")),
            "install the version of triaffect that wrote the model",
            where=fields.where,
        )
    parts = fields.inner("parts")
    return Manifest(
        name=fields.get("name", str),
        version=fields.get("version", str),
        licence=fields.get("licence", str),
        tasks=tuple(_read_task(task, fields.where) for task in fields.get("tasks", list)),
        face=parts.part("face", _read_face),
        voice=parts.part("voice", _read_voice),
        fusion=parts.part("fusion", _read_fusion),
        thresholds=fields.inner("calibration").mapping("thresholds", float),
        recipe=fields.get("recipe", dict),
        versions=fields.mapping("versions", str),
        label_origins=fields.mapping("label_origins", str),
        files={
            plain_name(name, fields.where): value
            for name, value in fields.mapping("files", str).items()
        },
    )


def _read_task(content: object, where: Path) -> dict[str, Any]:
    fields = _Fields(content, where, "tasks")
    columns = [str(name) for name in fields.get("columns", list)]
    return {"key": fields.get("key", str), "name": fields.get("name", str), "columns": columns}


def _read_face(fields: _Fields) -> FacePart:
    return FacePart(
        file=fields.file(),
        extractor=fields.get("extractor", str),
        input=fields.choice("input", FACE_INPUTS),
        dim=fields.get("dim", int),
        sha256=fields.get("sha256", str),
    )


def _read_voice(fields: _Fields) -> VoicePart:
    kind = fields.choice("input", VOICE_INPUTS)
    return VoicePart(
        file=fields.file(),
        blocks=fields.names("blocks", SOUNDNET_BLOCKS if kind == SOUNDNET else 0),
        extractor=fields.get("extractor", str),
        input=kind,
        dim=fields.get("dim", int),
        window=fields.window(),
        sha256=fields.get("sha256", str),
    )


def _read_fusion(fields: _Fields) -> FusionPart:
    return FusionPart(
        file=fields.file(),
        window=fields.inner("window").window(),
        face_dim=fields.get("face_dim", int),
        voice_dim=fields.get("voice_dim", int),
        sha256=fields.get("sha256", str),
        complete="complete" in fields.content and fields.get("complete", bool),
    )


def plain_name(name: str, where: Path) -> str:
    """A file name that stays inside its folder.

    Raises:
        ModelError: If it does not.
    """
    if name != Path(name).name or name in ("", ".", ".."):
        raise ModelError("a plain file name", repr(name), where=where)
    return name


class _Fields:
    """Typed access to a JSON object; a missing or ill-typed field is a `ModelError`."""

    def __init__(self, content: object, where: Path, key: str = "") -> None:
        self.where, self.key = where, key
        if not isinstance(content, dict):
            raise ModelError(f"an object for {key or 'the model'}", repr(content), where=where)
        self.content: dict[str, Any] = content

    def _name(self, key: str) -> str:
        return f"{self.key}.{key}" if self.key else key

    def get(self, key: str, kind: type[T]) -> T:
        value = self.content.get(key)
        if kind is float and type(value) is int:
            value = float(value)  # JSON writes 2.0 as 2 in some hands
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ModelError(
                f"{self._name(key)} of type {kind.__name__}", repr(value), where=self.where
            )
        return value

    def inner(self, key: str) -> _Fields:
        return _Fields(self.content.get(key), self.where, self._name(key))

    def mapping(self, key: str, kind: type[T]) -> dict[str, T]:
        fields = self.inner(key) if key in self.content else _Fields({}, self.where)
        return {name: fields.get(name, kind) for name in fields.content}

    def part(self, key: str, read: Callable[[_Fields], T]) -> T | None:
        return read(self.inner(key)) if key in self.content else None

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        value = self.get(key, str)
        if value not in known:
            raise ModelError(f"{self._name(key)} among {', '.join(known)}", value, where=self.where)
        return value

    def file(self) -> str:
        return plain_name(self.get("file", str), self.where)

    def names(self, key: str, count: int) -> tuple[str, ...]:
        given = self.get(key, list) if key in self.content else []
        if len(given) != count or not all(isinstance(name, str) for name in given):
            wanted = f"{count} file names for {self._name(key)}"
            raise ModelError(wanted, repr(given), where=self.where)
        return tuple(plain_name(name, self.where) for name in given)

    def window(self) -> Window:
        return Window(self.get("span_s", float), self.get("hop_s", float), self.get("causal", bool))

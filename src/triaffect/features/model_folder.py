"""The model folder: networks as ONNX with everything needed to run them. No torch, no pickle.

`triaffect.features.model_folder` documents the file.

``model.json`` describes the folder; it may hold a face network, a voice network, the network
that fuses both, or all three::

    {"format": 1, "name": …, "version": …, "licence": …,
     "tasks": [{"key": "VA", "name": "valence_arousal", "columns": ["valence", "arousal"]}, …],
     "parts": {"face":   {"file", "sha256", "extractor", "input", "dim"},
               "voice":  {"file", "sha256", "extractor", "input", "dim",
                          "span_s", "hop_s", "causal", "blocks": [file, …]},
               "fusion": {"file", "sha256", "window": {"span_s", "hop_s", "causal"},
                          "face_dim", "voice_dim", "complete"}},
     "calibration": {"thresholds": {"AU1": 0.5, …}}, "recipe": {…},
     "versions": {"triaffect": …}, "label_origins": {"VA": "rendered", …},
     "files": {"face.safetensors": sha256, …}}

What the networks take and give:

=============  ===================================================  ======================
file           inputs                                               outputs
=============  ===================================================  ======================
``face.onnx``  ``crops``: "gray64" uint8 (N, 64, 64), normalised    ``features`` float32
               inside the graph; "rgb224" float32 (N, 3, 224, 224)  (N, dim)
               in [0, 1]
``voice.onnx`` "logmel64": ``logmel`` float32 (N, T, 64) with       ``features`` float32
               T = 100 · span_s; "wave22050": ``wave`` float32      (N, dim)
               (N, 22050 · span_s) in [-255, 255]
               "soundnet22050": ``maps`` of the last of ``blocks``
``blocks``     "soundnet22050" alone: ``wave`` float32 (N, S) to    ``maps`` float32
               (N, 16, (S - 64) / 2 + 1); ``maps`` (N, 16, Q) to
               (N, 32, (Q - 32) / 2 + 1): `triaffect.features.extractors.soundnet`
``fusion…``    ``face`` float32 (N, W, face_dim), ``face_present``  one a task key,
               bool (N, W), ``voice`` float32 (N, voice_dim),       activated, (N, K)
               ``voice_present`` bool (N,)
=============  ===================================================  ======================

Every file named in ``parts`` and ``files`` is checked against its hash before it is used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from triaffect.errors import ModelError
from triaffect.io.atomic import replace_folder
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
        tasks: For each output its ``key``, ``name`` and ``columns``, in order; and as ``plugin``
            where a task of another package comes from.
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
    task = {"key": fields.get("key", str), "name": fields.get("name", str), "columns": columns}
    return {**task, "plugin": fields.mapping("plugin", str)} if "plugin" in fields.content else task


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


DESCRIPTION = "model.json"


@dataclass(frozen=True)
class ModelFolder:
    """A model folder whose description was read and whose networks match their hashes."""

    path: Path
    manifest: Manifest

    def network(self, part: str) -> Path:
        """The ONNX file of "face", "voice" or "fusion".

        Raises:
            ModelError: If the folder has no such network.
        """
        found = self.manifest.parts.get(part)
        if found is None:
            raise ModelError(
                f"a model folder with a {part} network",
                f"one with {', '.join(self.manifest.parts) or 'no network'}",
                where=self.path,
            )
        return self.path / found.file

    def blocks(self) -> tuple[Path, ...]:
        """The networks that stand before the voice network, checked against their hashes.

        Raises:
            ModelError: If one is not listed, missing or changed.
        """
        part = self.manifest.voice
        return () if part is None else tuple(self.file(name) for name in part.blocks)

    def file(self, name: str) -> Path:
        """A further file of the folder, checked against its hash.

        Raises:
            ModelError: If it is not listed, missing or changed.
        """
        if name not in self.manifest.files:
            known = ", ".join(self.manifest.files) or "no further file"
            raise ModelError(f"{name} in {DESCRIPTION}", known, where=self.path)
        return _checked(self.path / name, self.manifest.files[name])


def load_model_folder(path: Path) -> ModelFolder:
    """Read a model folder and check its networks against their hashes.

    Raises:
        ModelError: If the folder, its description or a network is missing or does not fit.
    """
    path = Path(path)
    description = path / DESCRIPTION
    if not description.is_file():
        got = "no such folder" if not path.is_dir() else "a folder without one"
        raise ModelError(f"a model folder with {DESCRIPTION}", got, where=path)
    try:
        content = json.loads(description.read_text("utf-8"))
    except ValueError as error:
        raise ModelError("JSON", str(error), where=description) from error
    folder = ModelFolder(path, read_manifest(content, description))
    for part in folder.manifest.parts.values():
        _checked(path / part.file, part.sha256)
    return folder


def write_model_folder(
    path: Path, manifest: Manifest, files: Mapping[str, bytes | Path]
) -> ModelFolder:
    """Write a model folder whole or not at all, replacing one that is there.

    One that is the same already is left as it is.

    Args:
        path: The folder to write.
        manifest: Its description; the hashes are filled in here.
        files: Content, or a file to copy, by name within the folder: the networks of the
            manifest's parts and any further ones (weights to train on, card, licence).

    Raises:
        ModelError: If a part's file is not among ``files``, or ``path`` is something else.
        DiskError: If it cannot be written; what was there before stays.
    """
    path = Path(path)
    if path.exists() and not (path / DESCRIPTION).is_file() and not _is_empty_folder(path):
        raise ModelError(
            "a model folder or nothing there", "something else", "choose another name", where=path
        )
    with replace_folder(path) as temporary:
        filled = _fill(temporary, manifest, files, path)
    return ModelFolder(path, filled)


def copy_part(folder: ModelFolder, part: str, path: Path) -> ModelFolder:
    """Copy one network ("face" or "voice") to a folder of its own.

    The weights to train on come along where they are: an installed package has none.

    Raises:
        ModelError: If the folder has no such network or a file of it changed.
    """
    network = folder.network(part)
    files: dict[str, bytes | Path] = {
        name: folder.file(name)
        for name in folder.manifest.files
        if Path(name).stem == part and (folder.path / name).is_file()
    }
    if part == "voice":
        files |= {path.name: path for path in folder.blocks()}
    files[network.name] = network
    everything = folder.manifest
    alone = Manifest(
        name=everything.name,
        version=everything.version,
        licence=everything.licence,
        face=everything.face if part == "face" else None,
        voice=everything.voice if part == "voice" else None,
        recipe=everything.recipe,
        versions=everything.versions,
        label_origins=everything.label_origins,
    )
    return write_model_folder(path, alone, files)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checked(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise ModelError(f"the file {path.name}", "none", "copy the folder whole", where=path)
    if file_hash(path) != sha256:
        remedy = "copy the folder again, or export the model again"
        raise ModelError(f"the hash in {DESCRIPTION}", "other content", remedy, where=path)
    return path


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _fill(
    folder: Path, manifest: Manifest, files: Mapping[str, bytes | Path], path: Path
) -> Manifest:
    """Write every file of the folder that is to be ``path``; return the manifest with hashes."""
    hashes = {name: _place(folder, name, content) for name, content in files.items()}
    filled = _with_hashes(manifest, hashes, path)
    text = json.dumps(to_json(filled), indent=1, ensure_ascii=False)
    _place(folder, DESCRIPTION, (text + "\n").encode())
    return filled


def _place(folder: Path, name: str, content: bytes | Path) -> str:
    target = folder / plain_name(name, folder)
    if isinstance(content, Path):
        shutil.copyfile(content, target)
    else:
        target.write_bytes(content)
    return file_hash(target)


def _with_hashes(manifest: Manifest, hashes: Mapping[str, str], path: Path) -> Manifest:
    parts: dict[str, Any] = {}
    for name, part in manifest.parts.items():
        if part.file not in hashes:
            raise ModelError(f"the {name} network {part.file}", "no such file given", where=path)
        parts[name] = replace(part, sha256=hashes[part.file])
    networks = {part.file for part in manifest.parts.values()}
    further = {name: value for name, value in hashes.items() if name not in networks}
    return replace(manifest, files=further, **parts)

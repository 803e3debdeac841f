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
                          "face_dim", "voice_dim", "complete", "needs_face",
                          "voice_sequence", "external": [{"slot", "spec": {"name", …}}, …]}},
     "calibration": {"thresholds": {"AU1": 0.5, …}, "temperatures": {"EXPR": 1.0, …},
                     "temperatures_without_face": {"EXPR": 1.0, …}},
     "recipe": {…}, "versions": {"triaffect": …}, "label_origins": {"VA": "rendered", …},
     "outputs": {"AU23": {"holds": "not shown", "learned_from": …, "evidence": …,
                          "blank": "never"}, …},
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
               ``voice_present`` bool (N,); of each slot "extra"
               ``extra.NAME`` float32 (N, dim) and
               ``extra.NAME.present`` bool (N,)
=============  ===================================================  ======================

With ``voice_sequence``, which only such models have, ``voice`` is (N, W, voice_dim) and
``voice_present`` (N, W): the voice at every instant of the window.

With ``external``, likewise, features of other programs take the place of the
folder's own face or voice network, or come on top (slot "extra"); ``spec`` is what
``external.json`` of a store says of them.

With ``outputs`` the model says of each column how far it holds on real people, and which ones it
leaves blank; see `OutputValidity`. ``temperatures`` divide the logits of a task, by its key; of
tasks in ``temperatures_without_face`` these do where a window has no face.

Every file named in ``parts`` and ``files`` is checked against its hash before it is used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from triaffect.errors import ModelError
from triaffect.features.external.format import ExternalSpec
from triaffect.io.atomic import replace_folder
from triaffect.io.records import parse_record
from triaffect.types import Window

FORMAT = 1
SOUNDNET = "soundnet22050"
SOUNDNET_BLOCKS = 2
"""How many networks stand before `VoicePart.file` with that input, and none with the others."""


@dataclass(frozen=True)
class FacePart:
    """A network from one aligned face crop to a vector.

    Attributes:
        file: Its ONNX file within the folder.
        extractor: Name of the network, kept in every store made with it.
        input: Preprocessing, "gray64", "gray64_close" or "rgb224".
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
        input: Preprocessing, "logmel64", "wave22050" or `SOUNDNET`.
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
class ExternalInput:
    """Features of another program that the fusing network reads.

    Attributes:
        slot: What they fill: the windows ("face"), the voice vector ("voice"), or a vector of
            their own ("extra").
        spec: What they are.
    """

    slot: Literal["face", "voice", "extra"]
    spec: ExternalSpec


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
        needs_face: It predicts only moments with a face somewhere in their window.
        external: Features of other programs that it reads.
        voice_sequence: It takes a voice vector at every instant of the window, not one alone.
    """

    file: str
    window: Window
    face_dim: int
    voice_dim: int
    sha256: str = ""
    complete: bool = False
    needs_face: bool = False
    external: tuple[ExternalInput, ...] = ()
    voice_sequence: bool = False

    def external_spec(self, slot: str) -> ExternalSpec | None:
        """Say what fills "face" or "voice" in place of the folder's own network; None for that."""
        return next((each.spec for each in self.external if each.slot == slot), None)

    @property
    def extra(self) -> tuple[ExternalSpec, ...]:
        """Features that come on top."""
        return tuple(each.spec for each in self.external if each.slot == "extra")


Part = FacePart | VoicePart | FusionPart


Blank = Literal["never", "without voice", "without face", "always"]


@dataclass(frozen=True)
class OutputValidity:
    """How far one output of a model is shown to hold on real people.

    Attributes:
        holds: The word for it. The rule stands in ``benchmarks/validity.py``.
        learned_from: Where its labels came from, in words.
        evidence: The figure behind the word and what it was measured on; empty for none.
        blank: Where tables leave the output out: nowhere; in moments without a voice, of an
            output that faces alone say nothing of; in moments without a face, of one that voices
            alone say nothing of; or everywhere, of one that was not learned.
        holds_without_face: The word for moments in which only a voice is there; empty where it
            is the same.
    """

    holds: Literal["shown", "partly", "not shown"] = "not shown"
    learned_from: str = ""
    evidence: str = ""
    blank: Blank = "never"
    holds_without_face: Literal["", "shown", "partly", "not shown"] = ""

    def describe(self) -> str:
        """Write it in one line, for a note, a table or a page.

        >>> OutputValidity(holds="partly", learned_from="votes", evidence="F1 0.60").describe()
        'partly shown to hold on people (F1 0.60); learned from votes'
        """
        if self.blank == "always":
            return "blank: the model has not learned it"
        words = {"partly": "partly shown"}
        text = f"{words.get(self.holds, self.holds)} to hold on people"
        if self.holds_without_face not in ("", self.holds):
            own = words.get(self.holds_without_face, self.holds_without_face)
            text += f", {own} of a voice without a face"
        text += f" ({self.evidence})" if self.evidence else ""
        text += f"; learned from {self.learned_from}" if self.learned_from else ""
        return text + (f"; blank {self.missing}" if self.missing else "")

    def word(self) -> str:
        """Write how far it holds and where it is blank as a cell of a table.

        >>> OutputValidity(holds="shown", blank="without face").word()
        'shown; blank without a face'
        """
        if self.blank == "always":
            return "not learned: blank"
        differs = self.holds_without_face not in ("", self.holds)
        text = self.holds + (f"; of a voice alone {self.holds_without_face}" if differs else "")
        return text + (f"; blank {self.missing}" if self.missing else "")

    @property
    def missing(self) -> str:
        """In words what a moment lacks in which the output is blank; empty if it never is."""
        words = {"without voice": "without a voice", "without face": "without a face"}
        return words.get(self.blank, "")


def validities_without_face(outputs: Mapping[str, OutputValidity]) -> dict[str, OutputValidity]:
    """Say how far outputs hold where no face is ever seen.

    >>> faces = OutputValidity(holds="shown", holds_without_face="partly")
    >>> validities_without_face({"p_anger": faces})["p_anger"].holds
    'partly'

    Args:
        outputs: How far each output holds, by column.

    Returns:
        The words for voices alone; what is blank without a face is blank always.
    """
    return {
        name: replace(
            each,
            holds=each.holds_without_face or each.holds,
            holds_without_face="",
            blank="always" if each.blank == "without face" else each.blank,
        )
        for name, each in outputs.items()
    }


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
        temperatures: By task key, what divides the logits behind its probabilities.
        temperatures_without_face: Likewise, in place of these, of windows without a face.
        outputs: By column, how far it holds; nothing is said of one that is not named.
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
    temperatures: Mapping[str, float] = field(default_factory=dict)
    temperatures_without_face: Mapping[str, float] = field(default_factory=dict)
    outputs: Mapping[str, OutputValidity] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Part]:
        """The networks there are, by "face", "voice" and "fusion"."""
        every = {"face": self.face, "voice": self.voice, "fusion": self.fusion}
        return {name: part for name, part in every.items() if part is not None}


def to_json(manifest: Manifest) -> dict[str, Any]:
    """Turn a manifest into what ``model.json`` holds, as the module documents it."""
    parts = {}
    for name, part in manifest.parts.items():
        content = asdict(part)
        if isinstance(part, VoicePart):
            content |= content.pop("window")
            if not part.blocks:
                del content["blocks"]
        if isinstance(part, FusionPart):
            for key in ("external", "voice_sequence"):
                if not content[key]:
                    del content[key]
        parts[name] = content
    calibration: dict[str, Any] = {"thresholds": dict(manifest.thresholds)}
    for key in ("temperatures", "temperatures_without_face"):
        if temperatures := getattr(manifest, key):
            calibration[key] = dict(temperatures)
    outputs = {name: asdict(each) for name, each in manifest.outputs.items()}
    return {
        "format": FORMAT,
        "name": manifest.name,
        "version": manifest.version,
        "licence": manifest.licence,
        "tasks": [dict(task) for task in manifest.tasks],
        "parts": parts,
        "calibration": calibration,
        "recipe": dict(manifest.recipe),
        "versions": dict(manifest.versions),
        "label_origins": dict(manifest.label_origins),
        **({"outputs": outputs} if outputs else {}),
        "files": dict(manifest.files),
    }


def plain_name(name: str) -> str:
    """Check that a file name stays inside its folder, and return it.

    Raises:
        ValueError: It does not.

    Examples:
        >>> plain_name("face.onnx")
        'face.onnx'
    """
    if name != Path(name).name or name in ("", ".", ".."):
        raise ValueError("a plain file name")
    return name


def check_positive(number: float) -> None:
    """Check that a number is above 0; a ValueError says that it is not."""
    if not number > 0:
        raise ValueError("a number above 0")


_FileName = Annotated[str, plain_name]


@dataclass(eq=False, repr=False)
class _TaskRecord:
    key: str
    name: str
    columns: list[str]
    plugin: dict[str, str] | None = None


@dataclass(eq=False, repr=False)
class _FaceRecord:
    file: _FileName
    sha256: str
    extractor: str
    input: Literal["gray64", "gray64_close", "rgb224"]
    dim: int


@dataclass(eq=False, repr=False)
class _WindowRecord:
    span_s: float
    hop_s: float
    causal: bool


@dataclass(eq=False, repr=False)
class _VoiceRecord(_WindowRecord):
    file: _FileName
    sha256: str
    extractor: str
    input: Literal["logmel64", "logmel64_pitch", "wave22050", "soundnet22050"]
    dim: int
    blocks: tuple[_FileName, ...] = ()

    def __post_init__(self) -> None:
        """See that there are the networks that its input needs."""
        count = SOUNDNET_BLOCKS if self.input == SOUNDNET else 0
        if len(self.blocks) != count:
            raise ValueError(f"{count} file names for blocks")


@dataclass(eq=False, repr=False)
class _FusionRecord:
    file: _FileName
    sha256: str
    window: _WindowRecord
    face_dim: int
    voice_dim: int
    complete: bool = False
    needs_face: bool = False
    external: tuple[ExternalInput, ...] = ()
    voice_sequence: bool = False


@dataclass(eq=False, repr=False)
class _PartsRecord:
    face: _FaceRecord | None = None
    voice: _VoiceRecord | None = None
    fusion: _FusionRecord | None = None


@dataclass(eq=False, repr=False)
class _CalibrationRecord:
    thresholds: dict[str, float] = field(default_factory=dict)
    temperatures: dict[str, Annotated[float, check_positive]] = field(default_factory=dict)
    temperatures_without_face: dict[str, Annotated[float, check_positive]] = field(
        default_factory=dict
    )


@dataclass(eq=False, repr=False)
class _ManifestRecord:
    """What ``model.json`` holds, field by field."""

    format: Literal[1]
    name: str
    version: str
    licence: str
    tasks: tuple[_TaskRecord, ...]
    parts: _PartsRecord
    calibration: _CalibrationRecord
    recipe: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    label_origins: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, OutputValidity] = field(default_factory=dict)
    files: dict[_FileName, str] = field(default_factory=dict)


def read_manifest(content: object, where: Path) -> Manifest:
    """Read a manifest from the content of a ``model.json``.

    Args:
        content: What its JSON says.
        where: The file, for messages.

    Raises:
        ModelError: If a field is missing, ill-typed or unknown to this version.
    """
    remedy = "install the version of triaffect that wrote the model"
    if isinstance(content, dict) and content.get("format") != FORMAT:
        raise ModelError(f"format {FORMAT}", repr(content.get("format")), remedy, where=where)
    record = parse_record(_ManifestRecord, content, ModelError, remedy, where)
    parts, voice, fusion = record.parts, None, None
    if parts.voice:
        values = vars(parts.voice)
        window = Window(**{each.name: values[each.name] for each in fields(_WindowRecord)})
        own = {name: value for name, value in values.items() if name not in vars(window)}
        voice = VoicePart(**own, window=window)
    if parts.fusion:
        window = Window(**vars(parts.fusion.window))
        fusion = FusionPart(**{**vars(parts.fusion), "window": window})
    tasks = (asdict(task) for task in record.tasks)
    return Manifest(
        name=record.name,
        version=record.version,
        licence=record.licence,
        recipe=record.recipe,
        versions=record.versions,
        label_origins=record.label_origins,
        files=record.files,
        tasks=tuple({k: v for k, v in task.items() if v is not None} for task in tasks),
        face=FacePart(**vars(parts.face)) if parts.face else None,
        voice=voice,
        fusion=fusion,
        thresholds=record.calibration.thresholds,
        temperatures=record.calibration.temperatures,
        temperatures_without_face=record.calibration.temperatures_without_face,
        outputs=record.outputs,
    )


DESCRIPTION = "model.json"


@dataclass(frozen=True)
class ModelFolder:
    """A model folder whose description was read and whose networks match their hashes.

    Attributes:
        path: Where it is.
        manifest: What its description says.
    """

    path: Path
    manifest: Manifest

    def network(self, part: str) -> Path:
        """Return the ONNX file of a network.

        Args:
            part: "face", "voice" or "fusion".

        Raises:
            ModelError: If the folder has no such network.
        """
        network_part = self.manifest.parts.get(part)
        if network_part is None:
            raise ModelError(
                f"a model folder with a {part} network",
                f"one with {', '.join(self.manifest.parts) or 'no network'}",
                where=self.path,
            )
        return self.path / network_part.file

    def blocks(self) -> tuple[Path, ...]:
        """Return the networks before the voice network, checked against their hashes.

        Returns:
            Their ONNX files, first to last; none where the voice network is one file.

        Raises:
            ModelError: If one is not listed, missing or changed.
        """
        part = self.manifest.voice
        return () if part is None else tuple(self.file(name) for name in part.blocks)

    def file(self, name: str) -> Path:
        """Return a further file of the folder, checked against its hash.

        Args:
            name: Its name, as the manifest's ``files`` have it.

        Raises:
            ModelError: If it is not listed, missing or changed.
        """
        if name not in self.manifest.files:
            listed = ", ".join(self.manifest.files) or "no further file"
            raise ModelError(f"{name} in {DESCRIPTION}", listed, where=self.path)
        return _checked(self.path / name, self.manifest.files[name])

    def read_networks(self) -> dict[str, bytes]:
        """Read all that computing needs, to write it again on another machine.

        Returns:
            Content by name: the description and the networks, without weights to train on.

        Raises:
            ModelError: If one is missing or changed.
        """
        parts = (self.path / part.file for part in self.manifest.parts.values())
        files = (self.path / DESCRIPTION, *parts, *self.blocks())
        return {file.name: file.read_bytes() for file in files}


def load_model_folder(path: Path) -> ModelFolder:
    """Read a model folder and check its networks against their hashes.

    Further files are checked when they are asked for, see `ModelFolder.file`.

    Args:
        path: The folder.

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

    Returns:
        The folder, its manifest with the hashes.

    Raises:
        ModelError: If a part's file is not among ``files``, or ``path`` is something else.
        DiskError: If it cannot be written; what was there before stays.
    """
    path = Path(path)
    is_empty = path.is_dir() and not any(path.iterdir())
    if path.exists() and not (path / DESCRIPTION).is_file() and not is_empty:
        raise ModelError(
            "a model folder or nothing there", "something else", "choose another name", where=path
        )
    with replace_folder(path) as temporary:
        hashes = {}
        for name, content in files.items():
            target = temporary / plain_name(name)
            if isinstance(content, Path):
                shutil.copyfile(content, target)
            else:
                target.write_bytes(content)
            hashes[name] = file_hash(target)
        parts: dict[str, Any] = {}
        for name, part in manifest.parts.items():
            if part.file not in hashes:
                expected = f"the {name} network {part.file}"
                raise ModelError(expected, "no such file given", where=path)
            parts[name] = replace(part, sha256=hashes[part.file])
        networks = {part.file for part in parts.values()}
        further = {name: value for name, value in hashes.items() if name not in networks}
        filled = replace(manifest, files=further, **parts)
        text = json.dumps(to_json(filled), indent=1, ensure_ascii=False)
        (temporary / DESCRIPTION).write_bytes((text + "\n").encode())
    return ModelFolder(path, filled)


def copy_part(
    folder: ModelFolder, part: str, path: Path, *, may_lack_weights: bool = False
) -> ModelFolder:
    """Copy one network ("face" or "voice") to a folder of its own, with its weights to train on.

    Args:
        folder: Where from.
        part: Which network.
        path: The new folder.
        may_lack_weights: Leave weights to train on out where they are missing, as in an
            installed package.

    Returns:
        The new folder.

    Raises:
        ModelError: If the folder has no such network or a file of it changed.
        DiskError: If it cannot be written.
    """
    network = folder.network(part)
    files: dict[str, bytes | Path] = {
        name: folder.file(name)
        for name in folder.manifest.files
        if Path(name).stem == part and (not may_lack_weights or (folder.path / name).is_file())
    }
    if part == "voice":
        files |= {path.name: path for path in folder.blocks()}
    files[network.name] = network
    everything = folder.manifest
    single = Manifest(
        name=everything.name,
        version=everything.version,
        licence=everything.licence,
        face=everything.face if part == "face" else None,
        voice=everything.voice if part == "voice" else None,
        recipe=everything.recipe,
        versions=everything.versions,
        label_origins=everything.label_origins,
    )
    return write_model_folder(path, single, files)


def file_hash(path: Path) -> str:
    """Compute the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checked(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise ModelError(f"the file {path.name}", "none", "copy the folder whole", where=path)
    if file_hash(path) != sha256:
        remedy = "copy the folder again, or export the model again"
        raise ModelError(f"the hash in {DESCRIPTION}", "other content", remedy, where=path)
    return path

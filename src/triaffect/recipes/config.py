"""A recipe: everything that decides how a network is trained, as typed data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    model_validator,
)

from triaffect.losses.agreement import AgreementMean
from triaffect.losses.distillation import VaDistillation
from triaffect.losses.objective import LossReading
from triaffect.models.base import NetworkSpec, find_network, optional_key, read_network_spec
from triaffect.types import Window

INITIAL, EXTERNAL = "initial", "given"
"""As a stage's teacher: the weights that training starts from; finished runs handed to it. The
recipes' word for those is older than ours, and recipes are frozen by hash."""

FACE, VOICE = "face", "voice"
"""As a stream: what the store's own extractor of that name made."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecipeNotes(_Strict):
    """What a reader of the recipe should know before running it."""

    title: str
    paper: str = ""
    command: str
    cost: str
    expected: str


PAPER_FRAME_RATE = 30.0
"""Frames per second that the paper's windows are counted at."""


class WindowSpec(_Strict):
    """Which face vectors one moment sees.

    ``unit`` says whether span and hop count frames (the paper) or seconds. A ``complete``
    window drops every moment that lacks one of its faces or its voice; one that only
    ``needs_face`` drops those without any face, whose tables then stay blank.
    """

    unit: Literal["frames", "seconds"] = "seconds"
    span: float = 2.0
    hop: float = 1 / 3
    causal: bool = True
    complete: bool = False
    needs_face: bool = optional_key(default=False)

    def in_seconds(self) -> Window:
        """Return the window in seconds, for prediction, which does not count frames.

        Examples:
            >>> WindowSpec(unit="frames", span=60, hop=10).in_seconds().span_s
            2.0
        """
        unit = PAPER_FRAME_RATE if self.unit == "frames" else 1.0
        return Window(self.span / unit, self.hop / unit, self.causal)


class DataSpec(_Strict):
    """Which rows a network learns from and how batches are drawn from them.

    Attributes:
        input: Windows of stored vectors, single crops, or stretches of log-mel spectrum.
        window: For windows only.
        stretch_s: Length of a log-mel stretch in seconds; for logmel only.
        pools: Name of an update, and the label sets its batches are drawn from; a set may
            be narrowed to one corpus, as in ``"ravdess/EXPR"``.
        batch_size: Rows a batch of the largest pool; the others get as many batches.
        min_batch: Rows a batch at the least; a smaller pool is gone through repeatedly.
        drop_partial: Leave out rows that lack any value of their label set, as the
            authors' program does.
        drop_minus_one: Leave out rows of the VA set whose valence or arousal is exactly -1,
            as the authors' program does; for windows only.
        single_task_frame_offset: Added to the frame of single-task rows when their
            features are looked up; the authors' program is off by one there (-1).
        balance: Tasks of exclusive classes whose rare classes weigh more.
        balance_corpora: Count a class of each corpus by itself in `balance`, so that small
            corpora weigh more too.
        stills_as_video: Hold some training pictures for their whole window, and let some
            speak, see `triaffect.datasets.windows`; for windows only.
        augment: Vary crops and spectra while training.
        variation: How crops are varied: as "faces" that a camera sees, or as a sibling system
            has it, by a "shift", or "resize"d, each crop or a batch together; see
            `triaffect.datasets.augmentation.augment`.
        mix: Share of the batches in which every crop or spectrum is mixed with another one, and
            its labels likewise; see `triaffect.datasets.augmentation.mixup`. Not for windows.
        mix_augment: Both parameters of the beta distribution from which the share of a blend of
            two rows is drawn (MixAugment, Psaroudakis and Kollias 2022): the blend and both rows
            are learned from in the same step. 0 is off. For windows and crops, without a teacher.
        sequences: A batch is of windows of which every labeled place is learned from, not the
            moment alone; for windows that count frames, and networks that answer every place.
        sequence_stride: One in so many rows of a pool ends a window that is drawn, then.
        voice_sequence: The voice is a vector at every position of a window, not one alone; for
            windows, and networks that read it.
        drown: Share of the spectra that are badly damaged: half of them drowned in noise, a
            quarter played at a wrong speed, a quarter through a telephone; the less is left of a
            voice, the nearer its labels move to their mean over the batch. For logmel only.
        face: What fills the windows: "face" is the store's face extractor, any other name a
            stream of external features that was joined to the store.
        voice: What gives the voice vector: "voice", or a stream likewise.
        extra: Streams that each give the net ``default`` one more vector of the moment.
        held_out: Share of the training people, with their videos, that is not learnt from:
            epochs are chosen and thresholds set on their rows, and validation only reports.
            0 chooses on validation, as published.
        refit: Learn from validation rows too and keep the last epoch, for a last training of
            what was chosen before. Nobody is held out, and nothing is chosen.
        test_people: Names of people who are tested in place of their corpora's own test
            people, who are then learnt from; for cross-validation.
        hide_labels: Share of the training people whose labels of a task are hidden, for each
            task by itself: to see what learning does where more is missing.
        humans_first: Tasks of which a label that is not a person's is not learnt from, if
            there are people's among the training rows.
    """

    input: Literal["windows", "crops", "logmel"]
    window: WindowSpec = WindowSpec()
    stretch_s: float = 3.0
    pools: dict[str, tuple[str, ...]]
    batch_size: int = Field(default=256, ge=2)
    min_batch: int = Field(default=2, ge=2)
    drop_partial: bool = False
    drop_minus_one: bool = False
    single_task_frame_offset: int = 0
    stills_as_video: bool = False
    augment: bool = False
    variation: Literal["faces", "shift", "resize", "resize_together"] = optional_key("faces")
    mix: float = optional_key(0.0, ge=0, le=1)
    mix_augment: float = optional_key(0.0, ge=0)
    sequences: bool = optional_key(default=False)
    sequence_stride: int = optional_key(1, ge=1)
    voice_sequence: bool = optional_key(default=False)
    drown: float = optional_key(0.0, ge=0, le=1)
    balance: tuple[str, ...] = ()
    balance_corpora: bool = optional_key(default=False)
    face: str = FACE
    voice: str = VOICE
    extra: tuple[str, ...] = ()
    held_out: float = Field(default=0.0, ge=0, le=0.5)
    hide_labels: float = Field(default=0.0, ge=0, lt=1)
    humans_first: tuple[str, ...] = optional_key(())
    refit: bool = optional_key(default=False)
    test_people: tuple[str, ...] = optional_key(())

    @property
    def external(self) -> tuple[str, ...]:
        """Names of the streams of external features that are read, each once."""
        used = (self.face, self.voice, *self.extra)
        return tuple(dict.fromkeys(name for name in used if name not in (FACE, VOICE)))

    @model_validator(mode="after")
    def _keys_fit_each_other(self) -> DataSpec:
        if self.variation != "faces" and (self.input != "crops" or not self.augment):
            raise ValueError("variation is for crops that augment varies")
        if self.mix and self.input == "windows":
            raise ValueError("mix is for crops and logmel")
        if self.drown and self.input != "logmel":
            raise ValueError("drown is for logmel")
        if self.mix_augment and (self.input == "logmel" or self.sequences):
            raise ValueError("mix_augment is for windows and crops, and not for sequences")
        if self.sequences and (self.input != "windows" or self.window.unit != "frames"):
            raise ValueError("sequences are for windows that count frames")
        if self.voice_sequence and (self.input != "windows" or self.stills_as_video):
            raise ValueError("voice_sequence is for windows, and without stills_as_video")
        if self.refit and self.held_out:
            raise ValueError("refit learns from everybody: set held_out to 0")
        return self

    @model_validator(mode="after")
    def _streams_fit_each_other(self) -> DataSpec:
        if (self.face, self.voice, *self.extra) != (FACE, VOICE) and self.input != "windows":
            raise ValueError("other streams than the store's own are for windows")
        if self.face == VOICE or self.voice == FACE:
            raise ValueError("the store's own face and voice cannot change places")
        if len(set(self.extra)) < len(self.extra) or {FACE, VOICE} & set(self.extra):
            raise ValueError("extra names external streams, each once")
        return self


class OptimizerSpec(_Strict):
    """How parameters move.

    ``keras_adam`` has its epsilon outside the bias correction, skips parameters without a
    gradient and counts steps globally; ``shared`` hands that count on from stage to stage,
    and ``reset_on_best`` zeroes the moments at each new best score, both as in the authors'
    program. ``decay`` is decoupled weight decay (``adam`` only) of all parameters, or of
    ``matrices`` alone: not of biases, nor of the scales and shifts of batch norms. ``warmup``
    is for how many epochs, from the first on, the rate rises linearly to what it then is.
    ``schedule`` "linear" falls to 0 after the warmup, "step" multiplies the rate by
    ``step_factor`` every ``step_epochs``. ``beta1`` is of ``adam``, ``momentum`` of ``sgd`` and
    ``lars``, descent whose steps are in proportion to the parameters.
    ``rates`` multiply the rate of parts of the network, by the beginning of their parameters'
    names; ``layer_decay`` that of every layer, once for each layer that comes after it and once
    for the heads, of a network that names its ``layers``. ``clip`` holds the norm of the gradients,
    of each part of the network by itself where ``clip_parts`` says so; 0 is off.
    """

    kind: Literal["adam", "keras_adam", "sgd", "lars"] = "adam"
    lr: float = Field(default=1e-4, gt=0)
    schedule: Literal["constant", "cosine", "linear", "step"] = "constant"
    step_epochs: int = optional_key(1, ge=1)
    step_factor: float = optional_key(0.1, gt=0, lt=1)
    beta1: float = optional_key(0.9, ge=0, lt=1)
    momentum: float = optional_key(0.0, ge=0, lt=1)
    rates: dict[str, float] = optional_key({})
    layer_decay: float = optional_key(1.0, gt=0, le=1)
    clip: float = optional_key(0.0, ge=0)
    clip_parts: bool = optional_key(default=False)
    warmup: float = optional_key(0.0, ge=0)
    decay: float = Field(default=0.0, ge=0)
    decay_on: Literal["all", "matrices"] = optional_key("all")
    shared: bool = False
    reset_on_best: bool = False


class SupervisedSpec(_Strict):
    """Loss against labels: ``own_weight`` on single-task batches, ``mtl_weight`` elsewhere.

    ``positive_weights`` names sigmoid tasks whose "present" weighs absent / present;
    ``column_weights`` states such weights by task key, of each class for a softmax task;
    ``logit_weight`` weighs the squared distance to a sigmoid task's soft labels in logits;
    ``branch_weight`` the same losses of a network's further heads;
    ``frequency_weights`` names sigmoid tasks of which a column that is present in a share p of the
    training rows weighs 2 / (1 + p) where present and 2p / (1 + p) where absent.
    """

    own_weight: float = 1.0
    mtl_weight: float = 1.0
    use_task_weights: bool = False
    temperature: float = Field(default=1.0, gt=0)
    reading: LossReading = "conventional"
    positive_weights: tuple[str, ...] = ()
    logit_weight: float = optional_key(default=0.0, ge=0)
    column_weights: dict[str, tuple[float, ...]] = optional_key({})
    branch_weight: float = optional_key(0.0, ge=0)
    frequency_weights: tuple[str, ...] = optional_key(())


class DistillationSpec(_Strict):
    """Loss against the teacher: the batch's own task, and the tasks it has no labels for.

    ``missing_only`` leaves out, for each task, the rows that have a label of it;
    ``squared_temperature`` multiplies what a temperature divides by its square, so that the
    gradient does not shrink with it. ``decoupled`` sets the labeled class of a softmax task
    apart: it weighs ``target_weight`` against all others together, and these
    ``others_weight`` among each other. ``warmup`` is for how many epochs the terms grow;
    with ``branches`` a network's further heads are taught too.
    ``va_kd`` and ``softmax_kd`` are of
    `triaffect.losses.distillation.Distillation`.
    """

    own_weight: float = 1.0
    other_weight: float = 0.9
    temperature: float = Field(default=2.5, gt=0)
    reading: LossReading = "conventional"
    on: tuple[str, ...] = ("VA", "EXPR", "AU")
    missing_only: bool = False
    squared_temperature: bool = optional_key(default=False)
    decoupled: bool = optional_key(default=False)
    target_weight: float = optional_key(1.0, ge=0)
    others_weight: float = optional_key(8.0, ge=0)
    warmup: float = optional_key(0.0, ge=0)
    branches: bool = optional_key(default=False)
    va_kd: VaDistillation = optional_key("task")
    softmax_kd: tuple[str, ...] = optional_key(())


class SelfDistillationSpec(_Strict):
    """Loss of a network's further heads against its own answer.

    ``detached`` lets no gradient flow into that answer; ``squared_temperature`` multiplies what
    the temperature divides by its square.
    """

    weight: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    detached: bool = False
    squared_temperature: bool = False


class AdversarySpec(_Strict):
    """The task discriminator behind the gradient reversal; ``classes`` are update names."""

    classes: tuple[str, ...] = ("VA", "EXPR", "AU")
    schedule: Literal["linear", "constant"] = "linear"
    weight: float = 1.0
    reading: LossReading = "conventional"


class AgreementSpec(_Strict):
    """Loss against views of the same row that differ: their Jensen-Shannon divergence.

    ``average`` is over "rows", or as coded over "elements", rows and classes; ``epsilon`` is
    added to probabilities before their logarithm.
    """

    weight: float = Field(default=100.0, gt=0)
    epsilon: float = Field(default=1e-4, gt=0)
    average: AgreementMean = "elements"


class BootstrapSpec(_Strict):
    """Loss of latents against a slow copy's of another variation of the same crop.

    ``orthogonality`` weighs what the classes' vectors lack to be orthonormal; ``remove_emotion``
    takes the vector of a row's class out of what is predicted first.
    """

    weight: float = Field(default=1.0, gt=0)
    orthogonality: float = Field(default=1.0, ge=0)
    remove_emotion: bool = True


class SelectionSpec(_Strict):
    """Which epoch counts as best, and when to stop.

    ``metric`` is the official whole-set score or the authors' mean of mini-batch scores, of
    the rows in ``pool`` that are held out from training, or of validation where none are.
    ``thresholds`` says whether held-out rows, where there are any, also decide from which
    probability on an action unit counts as present; else it is 0.5. ``fixed_thresholds`` state
    it by column instead, in probabilities or in logits (``threshold_scale``). ``split`` "test"
    chooses on test rows, whose scores then are too good: to see by how much published ones are.
    """

    metric: Literal["official", "per_batch"] = "official"
    pool: str = "MTL"
    patience: int = Field(default=5, ge=1)
    thresholds: bool = False
    fixed_thresholds: dict[str, float] = optional_key({})
    threshold_scale: Literal["probability", "logit"] = optional_key("probability")
    split: Literal["validation", "test"] = optional_key("validation")


class Stage(_Strict):
    """One generation of training.

    Attributes:
        teacher: Earlier stage whose outputs are the soft labels, "initial" for the model that
            training starts from, or "given" for finished runs handed to it, whose outputs are
            averaged; None for no teacher.
        teacher_weights: Its best epoch, or as in the authors' program its last.
        updates: The updates of one iteration, in order; names of pools.
        epochs: At most so many.
        seconds: In place of epochs and patience, the stage ends after so many seconds: of the
            processor, scoring included, or of the clock where another device computes. Rates fall
            with that time. The run then depends on the machine. 0 is off.
        steps_per_epoch: Iterations an epoch; None goes once through the largest pool.
        precision: Of the network's forward pass; bfloat16 is faster where the processor has it.
        frozen_statistics: Batch norms keep the statistics that the network starts with; for
            small tables that are unlike what it learnt from.
        frozen: Parts of the network that keep the weights they begin with, by the beginning of
            their parameters' names, such as ``"stages.0"``; a step then costs less.
        stagnation: Growth of a task's weight with each epoch it did not improve; 0 is off.
        task_weights: Weight of a task's terms, of labels and of a teacher alike, by its key; 1
            for one not named.
        average: Largest decay of a moving average of the weights, which is scored, kept and
            taught from in place of the weights; see `triaffect.training.optimizers`. 0 is off.
        joint_step: Whether the updates of an iteration move the network by themselves, or once
            together, by the "sum" or the "mean" of their losses.
        self_distillation: Loss of a network's further heads against its own answer.
        stagnation_rule: How `stagnation` grows: "exponential", or "log2" of the epochs without
            improvement where that is above 1, the weights then brought to a sum of 1.
        bootstrap: For a network that learns latents: from two variations of each crop.
        start: Earlier stage with whose last weights it begins, as far as it has the same parts.
        agreement: For a network with several views of a row: what they say is brought together.
        ensemble: Earlier stages whose networks are averaged, in place of a training. A file
            writes ``members = 5`` in a stage instead: so many stages of it, NAME_1 and so on, each
            with random numbers of its own, and the stage itself as their ensemble.
        teachers: By update, the earlier stage that teaches it, of the tasks alone that this stage
            has training labels of; in place of one teacher of all updates.
        per_corpus: "stages" stands for one such stage for each corpus of the store, "updates" for
            one update for each of them, taught by the corpus's own stage; see
            `triaffect.recipes.corpora`.
    """

    teacher: str | None = None
    teacher_weights: Literal["best", "last"] = "best"
    updates: tuple[str, ...]
    epochs: int = Field(default=20, ge=1)
    seconds: float = optional_key(0.0, ge=0)
    steps_per_epoch: int | None = Field(default=None, ge=1)
    optimizer: OptimizerSpec = OptimizerSpec()
    supervised: SupervisedSpec = SupervisedSpec()
    distillation: DistillationSpec | None = None
    adversary: AdversarySpec | None = None
    selection: SelectionSpec = SelectionSpec()
    precision: Literal["float32", "bfloat16"] = "float32"
    frozen_statistics: bool = False
    frozen: tuple[str, ...] = optional_key(())
    stagnation: float = Field(default=0.0, ge=0)
    average: float = optional_key(0.0, ge=0, lt=1)
    task_weights: dict[str, float] = optional_key({})
    joint_step: Literal["off", "sum", "mean"] = optional_key("off")
    stagnation_rule: Literal["exponential", "log2"] = optional_key("exponential")
    agreement: AgreementSpec | None = optional_key(None)
    bootstrap: BootstrapSpec | None = optional_key(None)
    start: str | None = optional_key(None)
    ensemble: tuple[str, ...] = optional_key(())
    self_distillation: SelfDistillationSpec | None = optional_key(None)
    teachers: dict[str, str] = optional_key({})
    per_corpus: Literal["off", "stages", "updates"] = optional_key("off")


def _expand_members(tree: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """Write out the stages that a file states once, with how many members they have."""
    stages = tree.get("stages") if isinstance(tree, dict) else None
    if not isinstance(stages, dict):
        return tree
    expanded: dict[str, Any] = {}
    for name, stage in stages.items():
        if not isinstance(stage, dict) or "members" not in stage:
            expanded[name] = stage
            continue
        plain = {key: value for key, value in stage.items() if key != "members"}
        count = stage["members"]
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"stage {name}: members is a whole number from 1 on")
        if count == 1:
            expanded[name] = plain
            continue
        members = {f"{name}_{number}": plain for number in range(1, count + 1)}
        shared = {key: plain[key] for key in ("updates", "selection") if key in plain}
        expanded |= members | {name: {**shared, "epochs": 1, "ensemble": tuple(members)}}
    return {**tree, "stages": expanded}


def _check_teachers(name: str, stage: Stage, earlier: Sequence[str]) -> None:
    """See that a stage's teachers by update are earlier stages, and that each update has one."""
    if stage.teachers and (stage.teacher is not None or stage.distillation is None):
        raise ValueError(f"stage {name} has teachers by update: it needs distillation, no teacher")
    for update, teacher in stage.teachers.items():
        if teacher not in earlier:
            raise ValueError(f"stage {name} learns from {teacher}, no earlier stage")
        if update not in stage.updates:
            raise ValueError(f"stage {name} names a teacher of {update}, none of its updates")
    if stage.teachers and stage.distillation is not None:
        for update in stage.updates:
            if update in stage.distillation.on and update not in stage.teachers:
                raise ValueError(f"stage {name} distils {update} but names no teacher of it")


class Recipe(_Strict):
    """A published system, or one of ours: data, network and stages in order.

    Attributes:
        tasks: What is predicted: keys, or dotted paths such as ``"my_module:ENGAGEMENT"``.
        net: The network; its ``kind`` is a name, or a dotted path such as ``"my_module:MyNet"``.
    """

    name: str
    about: RecipeNotes
    tasks: tuple[str, ...] = ("VA", "EXPR", "AU")
    data: DataSpec
    net: Annotated[SerializeAsAny[NetworkSpec], BeforeValidator(read_network_spec)]
    stages: dict[str, Stage] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _write_out_members(cls, tree: Any) -> Any:  # noqa: ANN401 - as pydantic hands it over
        return _expand_members(tree)

    @model_validator(mode="after")
    def _net_and_stages_fit(self) -> Recipe:
        if self.data.extra and not find_network(self.net.kind).reads_extra:
            raise ValueError(
                f"the net {self.net.kind} takes no data.extra; default, emma, shared_trunk do"
            )
        seen = [INITIAL, EXTERNAL]
        for name, stage in self.stages.items():
            if stage.teacher is not None and stage.teacher not in seen:
                raise ValueError(f"stage {name} learns from {stage.teacher}, no earlier stage")
            if stage.distillation is not None and stage.teacher is None and not stage.teachers:
                raise ValueError(f"stage {name} distils but names no teacher")
            if stage.distillation is None and stage.teacher == EXTERNAL:
                raise ValueError(f"stage {name} has given teachers but no distillation")
            for pool in (*stage.updates, stage.selection.pool):
                if pool not in self.data.pools:
                    raise ValueError(f"stage {name} names pool {pool}, not in data.pools")
            if self.data.refit and (stage.stagnation or stage.selection.thresholds):
                raise ValueError(f"stage {name} needs scores, which data.refit does without")
            if stage.selection.split == "test" and (self.data.refit or self.data.held_out):
                raise ValueError(f"stage {name} chooses on test: set data.held_out to 0, refit off")
            seen.append(name)
        return self

    @model_validator(mode="after")
    def _ensembles_and_blends_fit(self) -> Recipe:
        names = list(self.stages)
        for number, (name, stage) in enumerate(self.stages.items()):
            if (stage.teacher is not None or stage.teachers) and self.data.mix_augment:
                raise ValueError(f"stage {name} has a teacher, which data.mix_augment has not")
            if stage.start is not None and stage.start not in names[:number]:
                raise ValueError(f"stage {name} starts with {stage.start}, no earlier stage")
            data = self.data
            if stage.bootstrap and (data.input != "crops" or not data.augment or data.mix):
                raise ValueError(
                    f"stage {name} learns from varied crops: augment them, without mix"
                )
            _check_teachers(name, stage, names[:number])
            for member in stage.ensemble:
                if member not in names[:number]:
                    raise ValueError(f"stage {name} averages {member}, no earlier stage")
        return self

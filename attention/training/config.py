"""What a run is asked for: frozen dataclasses, checked once.

A config file returns an ``ml_collections.ConfigDict``; ``from_dict`` crosses it once into ``Config``, which is what the
trainer reads. Every field says its meaning and its range in its metadata. Fields marked per-member may differ between
the members of a cohort, where they hold a number for each: they enter the compiled program as arrays ``[M]`` in any case.
"""

import dataclasses
import inspect
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from attention import specs
from attention.messages import quoted, shown

T = TypeVar("T")


def _field(
    default: Any,
    meaning: str,
    *,
    within: str = "",
    choices: tuple[str, ...] = (),
    kind: str = "",
    path: bool = False,
) -> Any:
    """A field with its meaning, its range (``"[0, 1)"``), its choices, or the kind of variant whose spec it holds.

    ``path`` marks one that says where something lies: a run is what lies there, and not where.
    """
    facts = {"meaning": meaning, "within": within, "choices": choices, "kind": kind, "path": path, "per_member": False}
    return dataclasses.field(default=default, metadata=facts)


def _per_member(default: float, meaning: str, within: str) -> Any:
    """A field that may differ between members: a number, or a tuple with one for each seed."""
    facts = {"meaning": meaning, "within": within, "choices": (), "kind": "", "path": False, "per_member": True}
    return dataclasses.field(default=default, metadata=facts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the text comes from and how it is cut into batches."""

    source: str = _field("listops", "spec of the data set, or the path of files or a folder", kind="source", path=True)
    tokenizer: str = _field(
        "words(pattern='whitespace')", "spec of the tokenizer, trained on the training split", kind="tokenizer"
    )
    max_length: int = _field(256, "tokens kept of a text", within="[1, 2**20]")
    truncate: str = _field("head", "part of a longer text that is kept", choices=("head", "tail", "middle"))
    segments: str = _field("none", "what texts are cut into", choices=("none", "sentences", "lines", "columns"))
    positions: str = _field("text", "what positions count through", choices=("text", "segment"))
    windows: str = _field(
        "stream",
        "rows of a language model: through all documents, several whole in one, or each alone",
        choices=("stream", "packed", "documents"),
    )
    stride: int = _field(
        0, "tokens that a window of an evaluation asks for, the others before them as context; 0 for all", within="[0, 2**20]"
    )
    seed: int = _field(0, "seed of all that the members share: generated data, carve-off, buckets", within="[0, 2**32)")
    buckets: int = _field(4, "padded lengths at most; each is compiled once", within="[1, 64]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The model: the arguments of ``classifier`` and ``seq2seq`` of ``attention.models``, and pretrained vectors."""

    encoder: str = _field("transformer", "spec of the stack of layers", kind="encoder")
    decoder: str = _field("transformer", "spec of what writes a text from the encoder's states", kind="decoder")
    mixer: str = _field("attention", "spec of what moves information between positions", kind="mixer")
    encoding: str = _field("sinusoidal", "spec of how positions enter", kind="encoding")
    score: str = _field("scaled_dot", "spec of how a query and a key are compared", kind="score")
    normalizer: str = _field("softmax", "spec of how scores become weights", kind="normalizer")
    mask: str = _field("full", "spec of who may attend to whom", kind="mask")
    pooling: str = _field("mean", "spec of how a sequence becomes one vector", kind="pooling")
    dim: int = _field(64, "width of the model", within="[1, 2**20]")
    kernel: str = _field("auto", "spec of how attention is computed", kind="kernel")
    compute_dtype: str = _field("float32", "dtype of the matrix products", choices=("float32", "bfloat16"))
    matmul_precision: str = _field(
        "highest", "of products of float32, which GPUs and TPUs round for at less", choices=("highest", "high", "default")
    )
    vectors: str = _field("", "file of pretrained word vectors, text or .safetensors; empty for none", path=True)
    embedding_init: float = _field(1.0, "standard deviation of the embeddings at the start", within="(0, inf)")
    frozen_embeddings: bool = _field(False, "whether token embeddings stay as they are initialised")
    embedding_scale: bool = _field(True, "whether embeddings are multiplied by √D; their table starts that much smaller")
    tied: bool = _field(False, "whether the embeddings are the head's weights, too")
    characters: int = _field(
        0, "characters of a word that are read beside it, first and last of longer ones; 0 for none", within="[0, 1024]"
    )
    head_gate: str = _field("none", "gate on the pooled vector before the linear layer", kind="gate")
    head_softmax: bool = _field(False, "whether a softmax over the channels of the pooled vector follows")
    head_hidden: int = _field(0, "units of a relu layer before the linear one; 0 for none", within="[0, 2**20]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the weights are found."""

    steps: int = _field(2000, "updates; 0 where epochs or tokens are given", within="[0, inf)")
    epochs: float = _field(0.0, "passes over the training split; 0 where steps or tokens are given", within="[0, inf)")
    tokens: int = _field(
        0, "tokens of all updates, rounded up to whole ones; 0 where steps or epochs are given", within="[0, inf)"
    )
    batch_size: int = _field(64, "examples of one update", within="[1, 2**20]")
    accumulation: int = _field(1, "parts a batch is computed in, to save memory; divides batch_size", within="[1, inf)")
    optimizer: str = _field("adamw", "spec of how gradients become steps: sgd(momentum=0.9)", kind="optimizer")
    learning_rate: float | tuple[float, ...] = _per_member(1e-3, "peak learning rate", "(0, inf)")
    warmup: int = _field(
        100, "updates over which the learning rate rises from 0; of a run of no more, a tenth, rounded down", within="[0, inf)"
    )
    warmup_tokens: int = _field(0, "tokens of warmup, in place of warmup, which is 0 then", within="[0, inf)")
    schedule: str = _field("cosine", "learning rate after warmup", choices=("constant", "cosine", "linear"))
    schedule_end: float = _field(0.0, "share of the peak that a cosine or a line goes to", within="[0, 1)")
    weight_decay: float | tuple[float, ...] = _per_member(0.01, "decoupled, of the matrices only", "[0, inf)")
    decay_embeddings: bool = _field(True, "whether embeddings and tables of positions decay, too")
    clip_norm: float | tuple[float, ...] = _per_member(1.0, "largest global norm of a gradient; 0 for off", "[0, inf)")
    ema_decay: float | tuple[float, ...] = _per_member(0.0, "of the average of weights to evaluate; 0 for off", "[0, 1)")
    label_smoothing: float | tuple[float, ...] = _per_member(0.0, "mass spread over all classes", "[0, 1)")
    dropout: float | tuple[float, ...] = _per_member(0.1, "rate of dropout in the model", "[0, 1)")
    word_dropout: float | tuple[float, ...] = _per_member(0.0, "share of tokens made unknown in training", "[0, 1)")
    class_weights: str = _field("none", "none, balanced, or one number per class: '1,2.5'")
    eval_every: int = _field(200, "updates between validations; 0 for once per epoch", within="[0, inf)")
    eval_tokens: int = _field(0, "tokens between validations, in place of eval_every, which is 0 then", within="[0, inf)")
    patience: int = _field(0, "validations without a better one before a member stops; 0 for off", within="[0, inf)")
    log_every: int = _field(50, "updates between lines of metrics", within="[1, inf)")
    checkpoint_every: int = _field(0, "updates between checkpoints; 0 for with each validation", within="[0, inf)")
    checkpoint_seconds: float = _field(60.0, "seconds after which one more is due; 0 for off", within="[0, inf)")
    init_from: str = _field(
        "", "finished run, or .safetensors file of eval.py --export, to start from; empty for none", path=True
    )
    continue_from: str = _field("", "finished run to train for longer, in a run of its own; empty for none", path=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CohortConfig:
    """How the members of a cohort share a program."""

    axis: str = _field("auto", "vmap, map (one after another), or auto by device", choices=("auto", "map", "vmap"))
    halvings: int = _field(
        0, "times that the worse half of the members stops, the last at half of the updates", within="[0, 16]"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A run. ``seeds`` has one seed per member of the cohort; members with one seed differ in a per-member field."""

    task: str = _field("classification", "spec of what is learned", kind="task")
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    cohort: CohortConfig = dataclasses.field(default_factory=CohortConfig)
    rival: str = _field("auto", "spec of what is fitted after the last update, to be compared with", kind="rival")
    trackers: str = _field("none", "specs of where the run is shown as well, joined by +", kind="tracker")
    seeds: tuple[int, ...] = _field((0,), "one member per seed: init, order of examples, dropout")


PER_MEMBER = tuple(field.name for field in dataclasses.fields(TrainingConfig) if field.metadata["per_member"])
# Those of them that are a feature of the program: 0 leaves it out.
FEATURES = ("clip_norm", "ema_decay", "dropout", "word_dropout")
_ALONE = ("task", "rival", "trackers")
_SECTIONS = {"data": DataConfig, "model": ModelConfig, "training": TrainingConfig, "cohort": CohortConfig}
# The fields that no weight depends on: what a run is does not either.
BESIDE = ("rival", "trackers")
# The fields that say where something lies.
PATHS = tuple(
    f"{section}.{field.name}"
    for section, made in _SECTIONS.items()
    for field in dataclasses.fields(made)
    if field.metadata["path"]
)


def from_dict(values: Mapping[str, Any]) -> Config:
    """Crosses a config file's values into a checked ``Config``.

    Example:
      >>> from_dict({"training": {"steps": 10}, "seeds": (0, 1)}).training.steps
      10

    Args:
      values: nested mapping of the fields of ``Config``; fields left out keep their defaults.

    Returns:
      The config, its spec strings written canonically.

    Raises:
      ValueError: for an unknown field, a value of the wrong type or out of range, an unknown variant or option, or
        fields that exclude each other.
    """
    _known(values, (*_ALONE, *_SECTIONS, "seeds"), "config")
    fields = Config.__dataclass_fields__
    alone = {name: _checked(fields[name], str, values.get(name, fields[name].default), f"config.{name}") for name in _ALONE}
    made = {name: _section(section, values.get(name, {}), f"config.{name}") for name, section in _SECTIONS.items()}
    config = Config(**alone, **made, seeds=_seeds(values.get("seeds", (0,))))
    _check_task(config)
    _check_training(config.training)
    config = _check_members(config)
    if config.data.positions == "segment" and config.data.segments == "none":
        raise ValueError("config.data.positions=segment wants config.data.segments=sentences, lines or columns, got none")
    if config.model.vectors and config.training.init_from:
        raise ValueError("config.model.vectors and config.training.init_from both give the embedding; give one")
    return config


def to_dict(config: Config) -> dict[str, Any]:
    """The config as nested plain values, for ``config.json``; ``from_dict`` takes it back."""
    return dataclasses.asdict(config)


def words(config: Config) -> dict[str, Any]:
    """The fields that the name of a run is a hash of: those that its weights depend on."""
    return {name: value for name, value in to_dict(config).items() if name not in BESIDE}


def content(config: Config) -> dict[str, Any]:
    """The fields that say what a run is: ``words`` without those of ``PATHS``."""
    fields = words(config)
    for path in PATHS:
        section, _, name = path.partition(".")
        del fields[section][name]
    return fields


def reading(config: Config) -> dict[str, Any]:
    """How texts become tokens: the arguments that ``dataset.load`` and ``encode.encode_texts`` share."""
    cut = ("windows", "stride") if specs.build("task", config.task).next_token else ()
    read = {name: getattr(config.data, name) for name in ("max_length", "truncate", "segments", "positions", *cut)}
    return {**read, "characters": config.model.characters}


def member_values(config: Config) -> dict[str, np.ndarray]:
    """What may differ between members, as arrays ``[M]``: the seed and every field marked per-member."""
    count = len(config.seeds)
    floats = {name: np.full(count, getattr(config.training, name), np.float32) for name in PER_MEMBER}
    return {"seed": np.asarray(config.seeds, np.uint32), **floats}


def members(config: Config) -> list[Config]:
    """The config of each member, as a run of its own."""
    values = {name: np.broadcast_to(getattr(config.training, name), len(config.seeds)).tolist() for name in PER_MEMBER}
    trainings = [
        dataclasses.replace(config.training, **{name: column[m] for name, column in values.items()})
        for m in range(len(config.seeds))
    ]
    return [dataclasses.replace(config, training=one, seeds=(seed,)) for one, seed in zip(trainings, config.seeds)]


def cohort(configs: Sequence[Config]) -> Config:
    """One config whose ``members`` are these, which differ in their seeds and per-member fields only.

    Raises:
      ValueError: where they differ in another field, or in whether a feature such as dropout is there at all.
    """
    first = configs[0]
    values = {name: tuple(getattr(one.training, name) for one in configs) for name in PER_MEMBER}
    seeds = tuple(seed for one in configs for seed in one.seeds)
    training = dataclasses.replace(first.training, **values)
    made = _check_members(dataclasses.replace(first, training=training, seeds=seeds))
    for one, again in zip(configs, members(made)):
        if one != again:
            pairs = ((section, to_dict(one)[section], to_dict(again)[section]) for section in to_dict(one))
            other = [section for section, value, there in pairs if value != there]
            varied = ", ".join(("seeds", *PER_MEMBER))
            raise ValueError(f"members of a cohort differ in {varied} only; these differ in config.{other[0]}")
    return made


def program_of(config: Config) -> Config:
    """The config without what members of one cohort may differ in: equal for runs that can share a program."""
    features = {name: float(name in FEATURES and np.max(getattr(config.training, name)) > 0) for name in PER_MEMBER}
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **features), seeds=())


def suggest(word: str, words: Sequence[str]) -> str:
    """`` (nearest: 'x'); fields: ...`` for an unknown field."""
    return f"{specs.nearest(word, words)}; fields: {', '.join(words)}"


def _known(values: Any, names: Sequence[str], where: str) -> None:
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} holds fields ({', '.join(names)}), got {quoted(values)}")
    for name in values:
        if name not in names:
            raise ValueError(f"unknown field {where}.{shown(name)}{suggest(str(name), names)}")


def _section(section: type[T], values: Any, where: str) -> T:
    fields = {field.name: field for field in dataclasses.fields(section)}  # pyright: ignore[reportArgumentType]
    _known(values, tuple(fields), where)
    hints = typing.get_type_hints(section)
    given = {name: _checked(fields[name], hints[name], value, f"{where}.{name}") for name, value in values.items()}
    for name, field in fields.items():
        if field.metadata["kind"] and name not in given:
            given[name] = _checked(field, hints[name], field.default, f"{where}.{name}")
    return section(**given)


def _checked(field: dataclasses.Field, hint: type, value: Any, where: str) -> Any:
    """The value of one field, of its type and in its range."""
    if field.metadata["per_member"]:
        hint = float
        if isinstance(value, (tuple, list)):
            return tuple(_checked(field, float, one, where) for one in value)
    value = _typed(hint, value, where)
    choices, within, kind = (field.metadata[key] for key in ("choices", "within", "kind"))
    if choices and value not in choices:
        wanted = ", ".join(choices)
        raise ValueError(f"{where} wants one of {wanted}, got {quoted(value)}{specs.nearest(value, choices)}")
    if within and not _inside(value, within):
        raise ValueError(f"{where} wants a number in {within}, got {quoted(value)}")
    if kind:
        try:
            return specs.canonical(kind, value)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return value


def _typed(hint: type, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        words = {int: "a whole number", float: "a number", bool: "True or False", str: "a string"}
        raise ValueError(f"{where} wants {words[hint]}, got {quoted(value)}")
    return value


def _inside(value: float | int, within: str) -> bool:
    low, high = (_bound(text) for text in within[1:-1].split(","))
    above = value >= low if within[0] == "[" else value > low
    return math.isfinite(value) and above and (value <= high if within[-1] == "]" else value < high)


def _bound(text: str) -> float:
    base, _, exponent = text.strip().partition("**")
    return float(base) ** float(exponent or 1)


def _seeds(value: Any) -> tuple[int, ...]:
    seeds = (value,) if isinstance(value, int) else value
    whole = isinstance(seeds, (tuple, list)) and all(isinstance(s, int) and not isinstance(s, bool) for s in seeds)
    if not whole or not seeds:
        raise ValueError(f"config.seeds wants whole numbers such as 0,1,2, got {quoted(value)}")
    for seed in seeds:
        if not 0 <= seed < 2**32:
            raise ValueError(f"config.seeds wants numbers in [0, 2**32), got {quoted(seed)}")
    return tuple(seeds)


def _check_members(config: Config) -> Config:
    """The config with every per-member field that is one number for all written as that number."""
    count, changed = len(config.seeds), {}
    for name in PER_MEMBER:
        values = getattr(config.training, name)
        if not isinstance(values, tuple):
            continue
        where = f"config.training.{name}"
        if len(values) != count:
            raise ValueError(f"{where} wants one number, or one for each of the {count} seeds; got {len(values)}")
        if name in FEATURES and 0 in values and any(values):
            raise ValueError(
                f"{where} wants numbers that are all above 0, or all 0: it is another program; got {quoted(values)}"
            )
        if len(set(values)) == 1:
            changed[name] = values[0]
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **changed))
    varied = [getattr(config.training, name) for name in PER_MEMBER]
    alike = list(zip(config.seeds, *(values for values in varied if isinstance(values, tuple))))
    if len(set(alike)) < count:
        raise ValueError(f"config.seeds wants each seed once, got {quoted(config.seeds)}")
    return config


def _check_task(config: Config) -> None:
    """Raises ValueError for a field that is not at its default, or a tokenizer, that the task gives no meaning to."""
    default, own = Config(), _fields_of(config.task)
    of_tasks = [*(f"model.{field.name}" for field in dataclasses.fields(ModelConfig)), *_OF_SOME_TASKS]
    for field in of_tasks:
        section, _, name = field.partition(".")
        given, usual = (getattr(getattr(each, section), name) for each in (config, default))
        if field not in own and given != usual:
            others = [task for task in specs.names("task") if field in _fields_of(task)]
            have = f"got {given!r} with config.task={config.task}; leave it at {usual!r}"
            raise ValueError(f"config.{field} is for config.task={' or '.join(others)}, {have}")
    by_token = specs.build("task", config.task).at_words or "model.decoder" in own
    if by_token and not specs.build("tokenizer", config.data.tokenizer).in_order:
        why = f"its tokens are not in the order of the text, and config.task={config.task} tells one after the other"
        raise ValueError(f"config.data.tokenizer={config.data.tokenizer}: {why}")


# What is given in tokens, and what in updates it stands in place of.
IN_TOKENS = {"tokens": "steps", "warmup_tokens": "warmup", "eval_tokens": "eval_every"}
_OF_TEXTS = ("data.truncate", "data.segments", "data.positions")
_OF_WINDOWS = ("data.windows", "data.stride", *(f"training.{name}" for name in IN_TOKENS))
# The fields that tasks may give no meaning to, beside those of the model.
_OF_SOME_TASKS = ("training.class_weights", "training.label_smoothing", *_OF_TEXTS, *_OF_WINDOWS)


def _fields_of(task: str) -> set[str]:
    """The fields that a task gives a meaning to and another may not: what its model takes, and what it has a hook for."""
    record = specs.build("task", task)
    of_texts, of_windows = [not record.at_words] * len(_OF_TEXTS), [record.next_token] * len(_OF_WINDOWS)
    hooks = (record.class_weights is not None, record.smooths, *of_texts, *of_windows)
    taken = (f"model.{name}" for name in inspect.signature(record.model).parameters)
    return {"model.vectors", *taken, *(name for name, has in zip(_OF_SOME_TASKS, hooks) if has)}


def _check_training(training: TrainingConfig) -> None:
    where = "config.training"
    try:
        optimizer = specs.build("optimizer", training.optimizer)
    except ValueError as error:
        raise ValueError(f"{where}.optimizer: {error}") from None
    if optimizer.evaluated is not None and np.max(training.ema_decay) > 0:
        raise ValueError(f"{where}.ema_decay must be 0 with {training.optimizer}, which evaluates an average of its own")
    if sum(map(bool, (training.steps, training.epochs, training.tokens))) != 1:
        have = f"steps={training.steps}, epochs={training.epochs:g} and tokens={training.tokens}"
        raise ValueError(f"{where} wants one of steps, epochs and tokens, the others 0; got {have}")
    for name, updates in (("warmup_tokens", "warmup"), ("eval_tokens", "eval_every")):
        tokens, number = getattr(training, name), getattr(training, updates)
        if tokens and number:
            raise ValueError(
                f"{where} wants one of {updates} and {name}, the other 0; got {updates}={number} and {name}={tokens}"
            )
    if training.schedule == "constant" and training.schedule_end:
        raise ValueError(f"{where}.schedule_end={training.schedule_end:g} wants schedule=cosine or linear, got constant")
    if training.batch_size % training.accumulation:
        have = f"batch_size={training.batch_size} and accumulation={training.accumulation}"
        raise ValueError(f"{where}.accumulation wants a divisor of batch_size, got {have}")

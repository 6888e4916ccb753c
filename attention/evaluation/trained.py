"""A trained run in a new process: scores and predictions, from the run directory and the data recorded there.

Training evaluates with ``run_logits`` too: same programs, same batches, same numbers. The best weights of every member
are the checkpoint named ``BEST``: its tree is the parameters as ``model.init`` makes them, with a leading axis of
members.
"""

import dataclasses
import functools
import inspect
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention import specs
from attention.data import dataset
from attention.data.batches import evaluation_batches, inputs
from attention.data.contracts import LENGTHS, Tokenizer
from attention.data.dataset import Encoded
from attention.models.classifier import classifier, longest_text
from attention.models.seq2seq import seq2seq
from attention.runs import checkpoints
from attention.runs.directory import DataRecord, RunDirectory
from attention import metrics
from attention.training import by_length, config
from attention.training.cohort.members import Axis, over_members, resolve_axis

BEST = "best"
LONGER = 4  # padded lengths beside those of training, at most


@functools.partial(jax.jit, static_argnames=("model", "axis"))
def _member_logits(
    model: Any, axis: Axis, count: jax.Array, params: Any, given: dict[str, jax.Array], rng: jax.Array
) -> jax.Array:
    def logits(_: Any, member: Any) -> jax.Array:
        return model.apply({"params": member}, **given, rng=rng, train=False, dropout=None)[0]

    one = jax.eval_shape(logits, None, jax.tree.map(lambda leaf: leaf[0], params))
    empty = jnp.zeros((len(jax.tree.leaves(params)[0]), *one.shape), one.dtype)
    return over_members(logits, axis)(count, empty, params)


def predict_logits(
    model: Any,
    params: Any,
    encoded: Encoded,
    *,
    batch_size: int,
    bucket_lengths: Sequence[int],
    axis: str,
    seed: int,
) -> np.ndarray:
    """The logits of each member for each example, without dropout.

    Args:
      model: the classifier; programs are compiled once for each model, axis and shape of a batch.
      params: its parameters with a leading axis of members.
      encoded: the examples.
      batch_size: examples of a batch.
      bucket_lengths: the padded lengths.
      axis: how to go over the members: "map", "vmap" or "auto".
      seed: ``config.data.seed``; fixes what a method draws at random even at test.

    Returns:
      float32 ``[M n C]``, in the order of ``encoded``.
    """
    over, rng = resolve_axis(axis), jax.random.key(seed)
    members = len(jax.tree.leaves(params)[0])
    count = jnp.int32(members)  # an argument of the program, see over_members
    pending = []
    for indices, batch in evaluation_batches(encoded, batch_size=batch_size, bucket_lengths=bucket_lengths):
        pending.append((indices, _member_logits(model, over, count, params, inputs(batch), rng)))
    logits = np.empty((members, len(encoded), pending[0][1].shape[-1]), np.float32)
    for indices, block in pending:
        real = indices >= 0
        logits[:, indices[real]] = np.asarray(block)[:, real]
    return logits


def run_logits(model: Any, params: Any, encoded: Encoded, settings: config.Config, record: DataRecord) -> np.ndarray:
    """``predict_logits`` as a run evaluates: batches, lengths, axis and seed of its config and data."""
    options = {"axis": settings.cohort.axis, "seed": settings.data.seed}
    return predict_logits(model, params, encoded, **batching(model, encoded, settings, record), **options)


def batching(model: Any, encoded: Encoded, settings: config.Config, record: DataRecord) -> dict[str, Any]:
    """The batch size and the padded lengths of an evaluation.

    Texts longer than those of training are padded to at most ``LONGER`` more lengths, evenly spaced.
    """
    trained, longest = record.bucket_lengths[-1], int(encoded.extents.max())
    limit = longest_text(model) or sys.maxsize
    spaced = (trained - (trained - longest) * k // LONGER for k in range(1, LONGER + 1) if longest > trained)
    return {
        "batch_size": settings.training.batch_size // settings.training.accumulation,
        "bucket_lengths": (*record.bucket_lengths, *(min(-(-length // 8) * 8, limit) for length in spaced)),
    }


def run_by_length(
    model: Any, params: Any, data: dataset.Dataset, settings: config.Config, record: DataRecord, known: Sequence[bool]
) -> dict[str, Any] | None:
    """Accuracy by length of each member, as ``by_length.report`` has it; None where the source has no such texts.

    Args:
      params: with a leading axis of members.
      data: with a split ``LENGTHS``.
      known: whether each member has been validated.
    """
    if data.trained_length is None:
        return None
    encoded = data.splits[LENGTHS]
    defined = encoded.lengths <= (longest_text(model) or sys.maxsize)
    correct = np.zeros((len(known), len(encoded)), bool)
    if defined.any():
        some = by_length.only(encoded, defined)
        correct[:, defined] = metrics.predictions(run_logits(model, params, some, settings, record)) == some.labels
    lengths = np.array([len(text.split()) for text in data.texts[LENGTHS]])
    return by_length.report(correct, lengths, defined, trained_length=data.trained_length, known=known)


def build_model(settings: config.Config, *, vocab_size: int, num_classes: int) -> Any:
    """The model of a config; one that writes has no classes."""
    arguments = dataclasses.asdict(settings.model)
    del arguments["vectors"]  # where the embeddings start; no part of the model
    # Batches are padded to multiples of 8, so positions may run up to the next one.
    arguments |= {"vocab_size": vocab_size, "max_length": -(-settings.data.max_length // 8) * 8}
    if settings.task == "seq2seq":
        names = inspect.signature(seq2seq).parameters
        model = seq2seq(**{name: value for name, value in arguments.items() if name in names})
    else:
        del arguments["decoder"]
        model = classifier(**arguments, num_classes=num_classes)
    if model.encoder.needs_segments and settings.data.segments == "none":
        raise ValueError(
            f"config.model.encoder={settings.model.encoder} wants config.data.segments=sentences or lines, got none"
        )
    return model


class Examples(NamedTuple):
    """Texts and their tokens; labels index the run's classes, -1 where a text has none."""

    texts: Sequence[str]
    encoded: Encoded


class Predictions(NamedTuple):
    """What a run says of some texts.

    Attributes:
      labels: the class name predicted for each text.
      probabilities: float64 ``[n C]``, the mean over the members.
      classes: the class of each column.
      agreeing: int ``[n]``, members whose own prediction is that label.
      members: how many were asked.
    """

    labels: list[str]
    probabilities: np.ndarray
    classes: tuple[str, ...]
    agreeing: np.ndarray
    members: int


class Evaluation(NamedTuple):
    """How good a run is on labelled examples.

    Attributes:
      split: its name.
      members: per member the seed and what ``metrics.evaluate_logits`` returns.
      summary: per metric ``metrics.summarize`` over the members.
      confusion: int64 ``[C C]``, labels by predictions, summed over the members.
      by_length: ``metrics.accuracy_by_length`` over the examples of all members, in tokens after truncation.
      predictions: of every example.
      examples: the texts and labels.
    """

    split: str
    members: list[dict[str, Any]]
    summary: dict[str, dict[str, float | None]]
    confusion: np.ndarray
    by_length: list[dict[str, Any]]
    predictions: Predictions
    examples: Examples


class Trained(NamedTuple):
    """A run with its best weights. ``params`` has a leading axis of members, in the order of ``settings.seeds``."""

    run: RunDirectory
    settings: config.Config
    data: DataRecord
    tokenizer: Tokenizer
    tokenizer_state: Any
    model: Any
    params: Any
    meta: dict[str, Any]
    notes: tuple[str, ...]

    def predict(self, texts: Sequence[str], member: int | None = None) -> Predictions:
        """Classes and probabilities of texts.

        Example:
          >>> load("runs/trec-1a2b3c4d").predict(["Who wrote Hamlet?"]).labels
          ['HUM']

        Args:
          texts: one or more; none empty.
          member: which member to ask, counted from 0; the mean of all where None.

        Raises:
          ValueError: for no texts, an empty one, or a member that is not there.
        """
        if isinstance(texts, str) or not len(texts):
            raise ValueError(f"predict wants a list of one or more texts, got {texts!r}")
        return self.predictions(self.logits(self.encode(texts), member))

    def evaluate(self, split: str = "test", data: str | None = None) -> Evaluation:
        """Scores on a split of the data recorded in the run, whose content is verified, or of other data.

        Args:
          split: "train", "validation" or "test".
          data: spec of another source, its classes matched by name.

        Raises:
          ValueError: for an unknown split, data that has changed, a class unseen in training, or a missing label.
        """
        return self.score(self.examples(split, data), split)

    def load_data(self, data: str | None = None) -> dataset.Dataset:
        """The data recorded in the run, verified, or that of another source; its classes are those of the source."""
        wanted = self.settings.data
        loaded = dataset.load(
            self.data.source if data is None else data,
            wanted.tokenizer,
            **config.reading(wanted),
            seed=wanted.seed,
            tokenizer_state=self.tokenizer_state,
        )
        if data is None:
            try:
                dataset.verify_hashes(loaded.hashes, self.data.hashes)
            except ValueError as error:
                raise ValueError(f"{self.data.source} has changed since {self.run.path} was trained: {error}") from None
        return loaded

    def accuracy_by_length(self, loaded: dataset.Dataset) -> dict[str, Any] | None:
        """Training's report of accuracy by length, of what ``load_data`` returns; None where the source has none."""
        known = [step is not None for step in self.meta["steps"]]
        return run_by_length(self.model, self.params, loaded, self.settings, self.data, known)

    def examples(self, split: str, data: str | dataset.Dataset | None = None) -> Examples:
        """The examples that ``evaluate`` scores; their labels may be missing. ``data`` may be loaded already."""
        loaded = data if isinstance(data, dataset.Dataset) else self.load_data(data)
        if split not in loaded.splits:
            near = specs.nearest(split, loaded.splits)
            raise ValueError(f"{loaded.source} has no split {split!r}{near}; splits: {', '.join(loaded.splits)}")
        encoded = loaded.splits[split]
        labels = self._own_labels(encoded.labels, loaded.classes)
        return Examples(loaded.texts[split], dataclasses.replace(encoded, labels=labels))

    def _own_labels(self, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
        """Labels of other data as indices of the run's classes."""
        own = {name: number for number, name in enumerate(self.data.classes)}
        for label in np.unique(labels[labels >= 0]):
            name = classes[int(label)]
            if name not in own:
                near, known = specs.nearest(name, own), ", ".join(own)
                raise ValueError(f"label {name!r} was not seen in training{near}; classes: {known}")
        table = np.array([*(own.get(name, -1) for name in classes), -1], np.int32)  # -1 reads the last: no label
        return table[labels]

    def encode(self, texts: Sequence[str], labels: Sequence[str] | None = None) -> Examples:
        """Texts, and the names of their classes where they are known."""
        encoded = dataset.encode_texts(self.tokenizer, self.tokenizer_state, texts, **config.reading(self.settings.data))
        if labels is not None:
            names, indices = np.unique(np.asarray(labels), return_inverse=True)
            encoded = dataclasses.replace(encoded, labels=self._own_labels(indices, names.tolist()))
        return Examples(texts, encoded)

    def logits(self, examples: Examples, member: int | None = None) -> np.ndarray:
        """``[M n C]`` for all members, or ``[1 n C]`` for one."""
        count = len(self.settings.seeds)
        if member is not None and not 0 <= member < count:
            raise ValueError(f"member wants 0 to {count - 1}, got {member}")
        params = self.params if member is None else jax.tree.map(lambda leaf: leaf[member : member + 1], self.params)
        return run_logits(self.model, params, examples.encoded, self.settings, self.data)

    def predictions(self, logits: np.ndarray) -> Predictions:
        """Predictions from ``[M n C]`` logits."""
        probabilities = metrics.softmax(logits).mean(axis=0)
        chosen = probabilities.argmax(axis=-1)
        labels = [self.data.classes[number] for number in chosen]
        agreeing = (metrics.predictions(logits) == chosen).sum(axis=0)
        return Predictions(labels, probabilities, self.data.classes, agreeing, len(logits))

    def score(self, examples: Examples, split: str) -> Evaluation:
        """``evaluate`` for examples that are at hand."""
        logits, labels = self.logits(examples), examples.encoded.labels
        scores = [metrics.evaluate_logits(member, labels) for member in logits]
        correct = np.concatenate([metrics.predictions(member) == labels for member in logits])
        lengths = np.tile(examples.encoded.lengths, len(logits))
        return Evaluation(
            split=split,
            members=[{"seed": seed, **score} for seed, score in zip(self.settings.seeds, scores)],
            summary={name: metrics.summarize([s[name] for s in scores]) for name in scores[0] if name != "count"},
            confusion=np.sum([metrics.confusion(member, labels, len(self.data.classes)) for member in logits], axis=0),
            by_length=metrics.accuracy_by_length(correct, lengths, self.data.bucket_lengths),
            predictions=self.predictions(logits),
            examples=examples,
        )


def load(run: str | RunDirectory) -> Trained:
    """Loads a run from its directory and nothing else.

    Args:
      run: the directory, with a best checkpoint: finished, or under way since its first validation.

    Returns:
      The run; ``notes`` names damaged checkpoints that were passed over.

    Raises:
      ValueError: where there is no run, no checkpoint yet, or a file of it is missing or damaged.
    """
    run = run if isinstance(run, RunDirectory) else RunDirectory(run)
    settings = config.from_dict(run.read_config())
    if not any(run.checkpoints.glob(f"{BEST}-*")):
        raise ValueError(f"run {run.path} has no best checkpoint: no member has been validated yet")
    data = run.read_data()
    tokenizer: Tokenizer = specs.build("tokenizer", settings.data.tokenizer)
    state = tokenizer.load(run.tokenizer)
    model = build_model(settings, vocab_size=data.vocab_size, num_classes=len(data.classes))
    like = abstract_params(model, len(settings.seeds))
    restored = checkpoints.restore_named(run.checkpoints, BEST, like)
    assert restored is not None  # there is one: see above
    params = jax.device_put(restored.tree)
    return Trained(run, settings, data, tokenizer, state, model, params, restored.meta, restored.skipped)


def abstract_params(model: Any, members: int) -> Any:
    """The shapes and dtypes of a model's parameters with a leading axis of members; computes nothing."""
    one = jax.eval_shape(lambda rng: model.init(rng, **model.example()), jax.random.key(0))["params"]
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((members, *leaf.shape), leaf.dtype), one)

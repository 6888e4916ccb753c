"""What a run is asked to learn: one file per task. The record is all that trainer, evaluation and laboratory ask of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention.data.contracts import Dataset, Encoded, Scale, Tokenizer
from attention.specs import by_spec

Batch = Mapping[str, Any]
Outputs = Mapping[str, np.ndarray]


class Metric(NamedTuple):
    """A score of a split.

    Attributes:
      name: in metrics.jsonl and result.json.
      head: of its column in the table of a result.
      share: whether it is a share, which tables show in percent.
      higher_is_better: False for losses and errors.
      per_token: whether it is a mean over tokens, so that it compares runs with the same tokens only.
    """

    name: str
    head: str
    share: bool = False
    higher_is_better: bool = True
    per_token: bool = False


class Facts(NamedTuple):
    """What reading and reporting need to know of a run.

    Attributes:
      classes: the class names, in the order of the labels; none where there are none.
      seeds: one for each member.
      tokenizer: the record.
      state: what the tokenizer learned.
      vocab_size: token ids, the one that ends a target among them.
      max_length: tokens of a text at most.
      scale: of the numbers of train; None where there are none.
    """

    classes: tuple[str, ...]
    seeds: tuple[int, ...]
    tokenizer: Tokenizer
    state: Any
    vocab_size: int
    max_length: int
    scale: Scale | None = None


class Examples(NamedTuple):
    """Texts, their tokens, the texts to be written of them where there are such, and where it is known, which were trained on.

    ``seen`` is bool ``[n]``: of a split of the run's data as in ``Dataset.seen``. ``wanted`` is what is right at their words.
    """

    texts: Sequence[str]
    encoded: Encoded
    targets: Sequence[str] | None = None
    seen: np.ndarray | None = None
    wanted: Sequence[str] | None = None


class Telemetry(NamedTuple):
    """What is measured at each validation.

    Hooks:
      sample(model, encoded) -> a batch of a split; None for a model of which nothing can be measured.
      measure(model, params, inputs, rng) -> arrays by name, of one member; pure, to be jitted.
    """

    sample: Callable[[Any, Encoded], dict[str, np.ndarray] | None]
    measure: Callable[..., dict[str, jax.Array]]


class Task(NamedTuple):
    """What a run learns. Outputs are what one member says of n examples, arrays ``[n ...]`` by name.

    Hooks:
      model(**options) -> the model, checked; its options are fields of ``config.model``, "vocab_size", "max_length" and, where
        there are classes, "num_classes".
      sized(model, vocab_size, num_classes) -> that model for some data.
      lacks(encoded) -> what is wrong with a split, as in "the split *has no labels*"; None where it can be learned and scored.
      answered(encoded) -> whether a split says what is right of any of its examples.
      example_weights(batch, class_weights) -> float ``[B]``: how much each example counts in the loss; 0 for filler.
      scored(logits, batch, smoothing) -> the loss of each example ``[B]``, and whether it is right, bool ``[B]``; NaN where
        examples are not right or wrong.
      forward(model, params, inputs, rng, *, longest, **search) -> outputs of one member for a batch, ``[B ...]``; pure, to be
        jitted. ``longest`` is the longest padded length of training.
      scores(outputs, encoded) -> the metrics by name, and "count".
      predictions(outputs, encoded) -> what predictions.npz keeps of each example, ``[n]`` by name; among it "correct", where
        examples are right or wrong, and "share", where much of one may be right.
      answer(encoded, answers, facts) -> the examples with the answers that a file gives in words, or in tuples of them; not
        asked where these are ``at_words``.
      adapt(encoded, classes, facts) -> the examples of other data, whose labels index ``classes``, as those of the run.
      read(outputs, encoded, facts) -> what a run says of texts, for its users; outputs have a leading axis of members,
        ``[M n ...]``.
      told(found, texts) -> lines to print of what ``read`` returned.
      columns(found, examples, facts) -> the columns of a table of predictions beside the texts, by their names.
      served(outputs, facts) -> what an exported program says of a batch, arrays ``[B ...]`` by name; pure. None where it is
        written place by place.
      details(outputs, examples, facts) -> sections of the report of an evaluation after its table of scores; ``[M n ...]``.
      class_weights(spec, data) -> one weight per class for ``config.training.class_weights``, or None. None where classes have
        no weights.
      telemetry: what is measured of attention at each validation; None for nothing.

    Attributes:
      metrics: of a split, the one that validations compare by first. Equal ones are decided by the first loss among them.
      answers: what the option of a source and the column of a file are called that hold what is right.
      at_words: whether what is right is said of each word of a text, as in ``Split.wanted``.
      next_token: whether every token of a text predicts the next, so that texts are cut into windows and not cut off.
      rival: spec of the rival that its runs stand beside.
      search: options of ``forward`` that an evaluation may give, by name, with their values in training.
      ratios: of metrics that are a sum over a count: the metric, and the names of both in ``predictions``.
      ruled_by: the metric that trivial rules are scored by; the first where empty.
      smooths: whether ``scored`` gives ``config.training.label_smoothing`` a meaning.
    """

    model: Callable[..., Any]
    sized: Callable[[Any, int, int], Any]
    lacks: Callable[[Encoded], str | None]
    answered: Callable[[Encoded], bool]
    example_weights: Callable[[Batch, tuple[float, ...] | None], jax.Array]
    scored: Callable[[jax.Array, Batch, Any], tuple[jax.Array, jax.Array]]
    forward: Callable[..., dict[str, jax.Array]]
    scores: Callable[[Outputs, Encoded], dict[str, float]]
    predictions: Callable[[Outputs, Encoded], dict[str, np.ndarray]]
    answer: Callable[[Encoded, Sequence[Any], Facts], Encoded]
    adapt: Callable[[Encoded, Sequence[str], Facts], Encoded]
    read: Callable[[Outputs, Encoded, Facts], Any]
    told: Callable[[Any, Sequence[str]], str]
    columns: Callable[[Any, Examples, Facts], Mapping[str, Sequence[str | float | tuple[str, ...]]]]
    details: Callable[[Outputs, Examples, Facts], list[str]]
    metrics: tuple[Metric, ...]
    answers: str
    served: Callable[[Mapping[str, jax.Array], Facts], dict[str, jax.Array]] | None = None
    class_weights: Callable[[str, Dataset], tuple[float, ...] | None] | None = None
    telemetry: Telemetry | None = None
    at_words: bool = False
    next_token: bool = False
    rival: str = "none"
    search: tuple[tuple[str, float], ...] = ()
    ratios: tuple[tuple[str, str, str], ...] = ()
    ruled_by: str = ""
    smooths: bool = True
    spec: str = ""

    kind = "task"

    def __reduce__(self) -> Any:
        return by_spec(self)

    @property
    def plural(self) -> str:
        """``answers`` of more than one text."""
        return f"{self.answers} words" if self.next_token else f"{self.answers.removesuffix('s')}s"

    @property
    def ruled(self) -> Metric:
        """The metric that trivial rules are scored by."""
        return next((metric for metric in self.metrics if metric.name == self.ruled_by), self.metrics[0])

    def quality(self, scores: Mapping[str, float]) -> tuple[float, ...]:
        """What validations compare by, the greater the better; a number that is not finite is the worst."""
        loss = next((metric for metric in self.metrics if not metric.higher_is_better), self.metrics[0])
        signed = (scores[each.name] * (1 if each.higher_is_better else -1) for each in (self.metrics[0], loss))
        return tuple(value if np.isfinite(value) else -np.inf for value in signed)


def clean_scores(task: Task, outputs: Outputs, encoded: Encoded, seen: np.ndarray) -> dict[str, float] | None:
    """The scores of a member on the texts that it has not ``seen``, bool ``[n]``; None where these are all or none.

    And where it is known of none of them what is right.
    """
    if not seen.any() or seen.all() or not task.answered(others := encoded.only(~seen)):
        return None
    return task.scores({name: array[~seen] for name, array in outputs.items()}, others)


def smoothed_cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: Any) -> jax.Array:
    """``-sum_k ((1 - s) [k = y] + s / C) log p_k`` of each label, ``[... C]`` and ``[...]`` to ``[...]``."""
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    chosen = jnp.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]
    return -((1.0 - smoothing) * chosen + smoothing * jnp.mean(log_p, axis=-1))

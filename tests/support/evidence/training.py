"""Evidence of data and training: sources, tokenizers, optimizers and tasks."""
# ruff: noqa: RUF012 (defaults of a NamedTuple are shared, and nobody writes to them)

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention.data.contracts import Encoded


class Lengths(NamedTuple):
    """What is known of a task whose texts go on in length; of texts of up to 12 symbols, and 60 in ``lengths``.

    Attributes:
      symbols: those that texts are made of, one character each.
      draw: the function of the source that draws texts of given lengths.
      shortest: of the texts.
      step: between one length and the next.
      bag: accuracy of the best guess from the counts of symbols; "some" between 0.1 and 0.8, None where there is no such rule.
      first: accuracy of the first symbol alone, where it is known.
    """

    symbols: str
    draw: Callable[..., Any]
    shortest: int = 1
    step: int = 1
    bag: float | str | None = "some"
    first: float | None = None


class SourceCase(NamedTuple):
    """A source with options.

    Attributes:
      spec: its spec; small, and what it reads or writes is in ``$FOLDER``.
      right: (text) -> its class, its target or what is wanted at its words, by a rule of its own; None where a file says it.
      digest: the beginning of a sha256 of what is generated, which must never change.
      lengths: of a task with the split ``lengths``.
    """

    spec: str
    right: Callable[[str], str] | None = None
    digest: str | None = None
    lengths: Lengths | None = None


class SourceEvidence(NamedTuple):
    """Of a source.

    Attributes:
      cases: one per option that is a task of its own; the first has the row's spec.
      prepare: (folder) -> None, writes the files that the specs read.
      seeded: whether another seed generates or carves off others.
      places: options that say where data are, and not which.
      probes: splits that it has beside those of all sources.
      needs: a package of an extra; the cases are left out where it is not installed, and run in ``tests/plugs``.
      errors: as above.
    """

    cases: tuple[SourceCase, ...]
    prepare: Callable[[Path], None] | None = None
    seeded: bool = True
    places: tuple[str, ...] = ("path", "mirror", "data_dir")
    probes: tuple[str, ...] = ()
    needs: str = ""
    errors: dict[str, str] = {}


class TokenizerEvidence(NamedTuple):
    """Of a tokenizer.

    Attributes:
      unseen: what becomes of characters it has never seen: "known" ids, or "unknown".
      unknown: whether texts it was trained on may hold unknown tokens.
      alone: what stands in the specs of which the package ``tokenizers`` has none like it.
      errors: as above.
    """

    unseen: str
    unknown: bool = False
    alone: str = ""
    errors: dict[str, str] = {}


class OptimizerCase(NamedTuple):
    """An optimizer with options.

    Attributes:
      spec: its spec.
      reference: (gradients [U ...], weights, rates [U], decay) -> the weights after U updates, of one leaf.
      evaluated: the same of the weights to evaluate; None where these are the weights themselves.
    """

    spec: str
    reference: Callable[..., Any]
    evaluated: Callable[..., Any] | None = None


class OptimizerEvidence(NamedTuple):
    """Of an optimizer.

    Attributes:
      cases: one per option that is a formula of its own; the first has the row's spec.
      first: what the weights 2 and -4 are after the gradient 0.5 and -7, with the rate 0.1 and the decay 0.3, by hand.
      geometric: whether weights without a gradient are multiplied by ``1 - eta lambda`` in each update.
      errors: as above.
    """

    cases: tuple[OptimizerCase, ...]
    first: tuple[float, float]
    geometric: bool = True
    errors: dict[str, str] = {}


class RivalEvidence(NamedTuple):
    """Of a rival.

    Attributes:
      reference: (arrays, train, asked) -> its outputs, of what it has learned of ``tests.support.rivals``; "probabilities" for
        logits. None for one that fits nothing.
      free: its arrays that may hold other numbers, and fewer.
      errors: as above.
    """

    reference: Callable[..., dict[str, np.ndarray]] | None = None
    free: tuple[str, ...] = ()
    errors: dict[str, str] = {}


class TrackerEvidence(NamedTuple):
    """Of a tracker, which ``tests/plugs`` reads back with its own package.

    Attributes:
      shows: whether it shows anything.
      local: whether it writes files, with packages that requirements-dev.txt has.
      errors: as above.
    """

    shows: bool = True
    local: bool = False
    errors: dict[str, str] = {}


class ExecutorEvidence(NamedTuple):
    """Of an executor, which ``tests/cluster`` has train on a cluster.

    Attributes:
      jobs: whether it trains by jobs; if not, in the process of the sweep.
      lacks: a regular expression of what is said where what it needs is not there; None where it needs nothing.
      errors: as above.
    """

    jobs: bool = True
    lacks: str | None = None
    errors: dict[str, str] = {}


class TaskEvidence(NamedTuple):
    """Of a task, with the three texts of ``tests.support.tasks``, which has their tokens and the facts of a run.

    Attributes:
      model: options of its model, small.
      answers: what is right of each example, in words.
      encoded: the examples with that.
      reads: the part of a batch that holds it.
      loss: (logits, what is right, smoothing) -> the loss of an example and whether it is right; NaN where it is neither.
      weights: of the three examples and filler, by the weights of classes.
      outputs: of two members, ``[2 3 ...]`` by name.
      scores: of the first, by hand.
      unscored: what is said where there is no answer to score by.
      correct: which of its examples are; None where none is right or wrong.
      share: the score that is their share.
      sure: (what is right) -> logits to be added that make it so; by default of a class.
      told: the lines on what both say.
      columns: of a table of it.
      details: the sections after the table of scores.
      lacks: what is wrong with other examples, and these.
      errors: as above.
    """

    model: dict[str, Any]
    answers: tuple[Any, ...]
    encoded: Encoded
    reads: str
    loss: Callable[..., tuple[Any, Any]]
    weights: dict[tuple[float, ...] | None, list[float]]
    outputs: dict[str, np.ndarray]
    scores: dict[str, float | None]
    unscored: str
    correct: list[bool] | None
    told: str
    columns: dict[str, Sequence[Any]]
    details: list[str]
    lacks: tuple[tuple[str, Encoded], ...]
    share: str = ""
    sure: Callable[[Any], np.ndarray] | None = None
    errors: dict[str, str] = {}

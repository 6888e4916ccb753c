"""What the contract of each kind asks of a variant: one NamedTuple per kind, the ``evidence`` of its row.

A reference is written in NumPy float64 from the formula and knows nothing of the library. ``errors`` maps specs that are
refused to a regular expression of the message; ``oracles`` is a function that imports other packages and returns their
witnesses by name, or says why there is none.
"""
# ruff: noqa: RUF012 (defaults of a NamedTuple are shared, and nobody writes to them)

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis.strategies import SearchStrategy

from attention.data.contracts import Encoded
from attention.records import Call
from tests.support.witness import Oracles


class EncodingCase(NamedTuple):
    """An encoding with options, and what its hooks do to one example, in NumPy. A hook without a reference is an error.

    Attributes:
      spec: its spec.
      embed: (x [T D], tokens [T], positions [T], text [T], parameters) -> what becomes of the embeddings.
      scores: (q [T N H], k [S N H], parameters, q positions, k positions, scale, x [T D], text [S]) -> the scores before the
        normalizer [N T S], NaN where the encoding hides a key.
      mask: the mask it is defined under.
      far: whether the reference holds a million positions away too.
    """

    spec: str
    embed: Callable[..., Any] | None = None
    scores: Callable[..., Any] | None = None
    mask: str = "full"
    far: bool = True


class EncodingEvidence(NamedTuple):
    """Of an encoding.

    Attributes:
      cases: one per option that is a formula of its own; the first has the row's spec. Empty where positions are drawn.
      oracles: as above.
      count: parameters shared by the layers, and of each layer.
      moved: what scores do when all positions move by 20: "same", or "other".
      directed: whether reading the sequence backwards shows.
      mask: the mask it is defined under.
      max_length: the fact.
      ordered: whether the order of tokens matters at all.
      by_position: whether explicit positions decide alone, and not the order of the array.
      whole: whether it refuses positions between whole numbers.
      one_sequence: whether queries and keys have to be of the same tokens.
      call: makes the call in which every option shows.
      picture: a function that returns the panels of the page's picture; None for that of the kind.
      parameters: their number as a formula, where the shapes do not say it.
      errors: as above.
    """

    cases: tuple[EncodingCase, ...]
    oracles: Oracles
    count: tuple[int, int] = (0, 0)
    moved: str = "same"
    directed: bool = True
    mask: str = "full"
    max_length: Any = None
    ordered: bool = True
    by_position: bool = True
    whole: bool = False
    one_sequence: bool = False
    call: Callable[[], Call] = Call
    picture: Callable[[], Any] | None = None
    parameters: str | None = None
    errors: dict[str, str] = {}


class Law(NamedTuple):
    """Two functions that agree, to a tolerance."""

    one: Callable[..., Any]
    other: Callable[..., Any]
    tolerance: float = 1e-6


class NormalizerCase(NamedTuple):
    """A normalizer with options.

    Attributes:
      spec: its spec.
      maps: the reference: (scores [N T S], mask, parameters) -> weights, of one example.
      golden: weights of Z by the public function, and the options it takes, or None.
      gradient: of Z for the upstream G, or None.
      count: parameters per layer.
      monotone: whether a larger score of a row has no smaller weight.
      near: scores up to this size have exact zeros only where the record says so.
      order: whether the order of the keys matters.
      straight: the reference that the gradient is deliberately that of, where it is another one.
      tolerance: of the reference in float32.
    """

    spec: str
    maps: Callable[..., Any]
    golden: tuple[list[float], dict[str, Any]] | None = None
    gradient: list[float] | None = None
    count: int = 0
    monotone: bool = True
    near: float = 5.0
    order: bool = False
    straight: Callable[..., Any] | None = None
    tolerance: float = 1e-5


class NormalizerEvidence(NamedTuple):
    """Of a normalizer.

    Attributes:
      cases: one per option that changes what it does; the first has the row's spec.
      oracles: as above.
      public: options with which the public function, named as the file, makes weights of scores; or that function of scores,
        where and axis; None for what acts on something else.
      refused: options that the public function refuses, with a regular expression of the message.
      laws: functions of scores and a mask that agree.
      ties: whether equal scores have equal weights.
      call: fields of the call in which every option shows.
      picture: a function that returns what the page's picture shows; None for that of the kind.
      parameters: their number as a formula, where shapes do not say it.
      errors: as above.
    """

    cases: tuple[NormalizerCase, ...]
    oracles: Oracles
    public: dict[str, Any] | Callable[..., Any] | None = {}
    refused: tuple[tuple[dict[str, Any], str], ...] = ()
    laws: dict[str, Law] = {}
    ties: bool = True
    call: dict[str, Any] = {}
    picture: Callable[[], Any] | None = None
    parameters: str | None = None
    errors: dict[str, str] = {}


class ScoreCase(NamedTuple):
    """A score with options.

    Attributes:
      spec: its spec.
      reference: of the query, the key, their positions and the parameters of the head.
      count: parameters per head and layer.
    """

    spec: str
    reference: Callable[..., Any]
    count: int = 0


class ScoreEvidence(NamedTuple):
    """Of a score.

    Attributes:
      cases: one per option that is a formula of its own; the first has the row's spec.
      oracles: as above.
      laws: functions of a query, a key and ``tests.support.scores.Own`` that agree.
      starts: by spec and parameter, a predicate of the values at the start.
      by_position: whether positions enter, through a table as long as the longest sequence.
      parameters: their number as a formula, where shapes do not say it.
      errors: as above.
    """

    cases: tuple[ScoreCase, ...]
    oracles: Oracles
    laws: dict[str, Law] = {}
    starts: dict[str, dict[str, Callable[..., bool]]] = {}
    by_position: bool = False
    parameters: str | None = None
    errors: dict[str, str] = {}


class MaskCase(NamedTuple):
    """A mask with options.

    Attributes:
      spec: its spec.
      allowed: whether a ``tests.support.masks.Pair`` may attend.
      read: of 90 keys in blocks of 8, the numbers that groups of blocks of 16 queries read.
      causal: the fact; None where no query attends to a later position.
    """

    spec: str
    allowed: Callable[..., bool]
    read: set[int]
    causal: bool | None = None


class MaskEvidence(NamedTuple):
    """Of a mask.

    Attributes:
      cases: one per option that changes what it does; the first has the row's spec.
      counts: pairs of a text of 24 tokens, by spec.
      equal: specs that are the same mask for 24 tokens, by spec.
      drawn: a strategy of specs with any options.
      errors: as above.
    """

    cases: tuple[MaskCase, ...]
    counts: dict[str, int]
    equal: dict[str, str] = {}
    drawn: SearchStrategy[str] | None = None
    errors: dict[str, str] = {}


class MixerCase(NamedTuple):
    """A mixer with options.

    Attributes:
      spec: its spec.
      reference: of (parameters, text [n D], memory [s D], causal).
      count: parameters of a layer.
      masks: the masks it is tested under.
      cross: whether it can read a memory.
      ordered: whether the order of tokens matters without an encoding and a mask.
      encoding: that it is tested with.
      max_length: the fact.
      chunked: the encoding with which kernels are compared, where the mixer goes through attention.
    """

    spec: str
    reference: Callable[..., Any]
    count: int
    masks: tuple[str, ...] = ("full",)
    cross: bool = True
    ordered: bool = False
    encoding: str = "none"
    max_length: Any = None
    chunked: str = "none"

    @property
    def title(self) -> str:
        """The spec, and the encoding."""
        return self.spec if self.encoding == "none" else f"{self.spec} | {self.encoding}"


class MixerEvidence(NamedTuple):
    """Of a mixer.

    Attributes:
      cases: one per option that is a formula of its own; the first has the row's spec.
      oracles: as above.
      uses: the fact.
      parts: parts of a model that it refuses, with the message.
      errors: as above.
    """

    cases: tuple[MixerCase, ...]
    oracles: Oracles
    uses: tuple[str, ...] = ()
    parts: tuple[tuple[dict[str, str], str], ...] = ()
    errors: dict[str, str] = {}


class PoolingCase(NamedTuple):
    """A pooling with options.

    Attributes:
      spec: its spec.
      reference: (states [T D], valid [T], parameters) -> (vector, weights or None, penalty), for one example.
      count: parameters.
      ordered: whether the order of the text matters.
      single: what a text of one state x gives; None where that is no formula to check.
      sums: whether the vector is the sum of states that the weights weigh.
      whole: whether weights sum to 1.
      dead: leaves without a gradient, by a symmetry of the method.
    """

    spec: str
    reference: Callable[..., Any]
    count: int = 0
    ordered: bool = False
    single: Callable[..., Any] | None = lambda x: x
    sums: bool = True
    whole: bool = True
    dead: tuple[str, ...] = ()


class PoolingEvidence(NamedTuple):
    """Of a pooling.

    Attributes:
      cases: one per option that is a formula of its own; the first has the row's spec.
      oracles: as above.
      tokens: those of its own that stand before the text.
      widths: specs that a model of 7 channels refuses, with the message.
      errors: as above.
    """

    cases: tuple[PoolingCase, ...]
    oracles: Oracles
    tokens: int = 0
    widths: dict[str, str] = {}
    errors: dict[str, str] = {}


class GateCase(NamedTuple):
    """A gate with options.

    Attributes:
      spec: its spec.
      reference: (rows [n D], parameters) -> rows.
      count: parameters, of D channels.
      start: what it makes of its input at the start; None where everything passes, bit for bit.
      opened: parameters with which everything passes, of D channels.
    """

    spec: str
    reference: Callable[..., Any]
    count: Callable[[int], int]
    start: Callable[..., Any] | None
    opened: Callable[[int], dict[str, Any]]


class GateEvidence(NamedTuple):
    """Of a gate: cases, of which the first has the row's spec, and errors as above."""

    cases: tuple[GateCase, ...]
    errors: dict[str, str] = {}


class KernelEvidence(NamedTuple):
    """Of a kernel.

    Attributes:
      reference: whether it is what others are compared with, itself compared with plain loops.
      refuses: of "weights" (they are to be returned) and "all" (a part reads all scores), what it cannot do, with the message.
      spans: (specs of the parts by kind) -> the numbers of keys that its blocks of 16 queries read, of 72; None where it has no
        blocks.
      errors: as above.
    """

    reference: bool = False
    refuses: dict[str, str] = {}
    spans: Callable[[dict[str, str]], set[int]] | None = None
    errors: dict[str, str] = {}


class EncoderCase(NamedTuple):
    """An encoder with options.

    Attributes:
      spec: its spec.
      reference: (tokens [n D], sentences [n], parameters) -> states, for one text without padding.
      count: parameters.
      width: channels of a state, of tokens with 6.
      zeros: whether states of padding are zero; else they have no meaning.
      dead: leaves without a gradient, by a symmetry of the method.
    """

    spec: str
    reference: Callable[..., Any]
    count: int = 0
    width: int = 6
    zeros: bool = True
    dead: tuple[str, ...] = ()


class EncoderEvidence(NamedTuple):
    """Of an encoder.

    Attributes:
      cases: one per option that is a formula of its own; the first has the row's spec.
      oracles: as above.
      pooling: that it is trained with.
      parts: parts of a model that it refuses, with the message.
      errors: as above.
    """

    cases: tuple[EncoderCase, ...]
    oracles: Oracles
    pooling: str = "additive"
    parts: tuple[tuple[dict[str, Any], str], ...] = ()
    errors: dict[str, str] = {}


class DecoderCase(NamedTuple):
    """A decoder in a model.

    Attributes:
      title: what the case is for.
      specs: of the model's parts, ``decoder`` among them.
      reference: (source [n D], embeddings [u D], parameters) -> (states, weights on the source), of one text; or None.
      alone: whether the other texts of a batch change nothing.
    """

    title: str
    specs: dict[str, str]
    reference: Callable[..., Any] | None = None
    alone: bool = True


class DecoderEvidence(NamedTuple):
    """Of a decoder.

    Attributes:
      cases: one for each way in which a place may depend on those before it; the first is of the row's spec.
      oracles: as above.
      parts: parts of a model that it refuses, with the message.
      errors: as above.
    """

    cases: tuple[DecoderCase, ...]
    oracles: Oracles
    parts: tuple[tuple[dict[str, Any], str], ...] = ()
    errors: dict[str, str] = {}


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
      right: (text) -> its class or target, by a rule of its own; None where a file says it.
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
      errors: as above.
    """

    cases: tuple[SourceCase, ...]
    prepare: Callable[[Path], None] | None = None
    seeded: bool = True
    places: tuple[str, ...] = ("path", "mirror", "data_dir")
    errors: dict[str, str] = {}


class TokenizerEvidence(NamedTuple):
    """Of a tokenizer.

    Attributes:
      unseen: what becomes of characters it has never seen: "known" ids, or "unknown".
      unknown: whether texts it was trained on may hold unknown tokens.
      errors: as above.
    """

    unseen: str
    unknown: bool = False
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


class TaskEvidence(NamedTuple):
    """Of a task, with the three texts of ``tests.support.tasks``, which has their tokens and the facts of a run.

    Attributes:
      model: options of its model, small.
      answers: what is right of each example, in words.
      encoded: the examples with that.
      reads: the part of a batch that holds it.
      loss: (logits, what is right, smoothing) -> the loss of an example and whether it is right.
      weights: of the three examples and filler, by the weights of classes.
      outputs: of two members, ``[2 3 ...]`` by name.
      scores: of the first, by hand.
      unscored: what is said where there is no answer to score by.
      correct: which of its examples are.
      told: the lines on what both say.
      columns: of a table of it.
      details: the sections after the table of scores.
      lacks: what is wrong with other examples, and these.
      errors: as above.
    """

    model: dict[str, Any]
    answers: tuple[str, ...]
    encoded: Encoded
    reads: str
    loss: Callable[..., tuple[float, bool]]
    weights: dict[tuple[float, ...] | None, list[float]]
    outputs: dict[str, np.ndarray]
    scores: dict[str, float]
    unscored: str
    correct: list[bool]
    told: str
    columns: dict[str, list[str]]
    details: list[str]
    lacks: tuple[tuple[str, Encoded], ...]
    errors: dict[str, str] = {}

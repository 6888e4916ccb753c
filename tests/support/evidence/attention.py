"""Evidence of the parts of attention: encodings, normalizers, scores, gates and kernels."""
# ruff: noqa: RUF012 (defaults of a NamedTuple are shared, and nobody writes to them)

from collections.abc import Callable
from typing import Any, NamedTuple

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
      terms: the fact: how many dot products its scores add up.
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
    terms: int = 1
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
      refuses: of "plain", "weights" (they are to be returned) and "all" (a part reads all scores), what it cannot do, with the
        message.
      platform: the one that it is for, as JAX calls it; "" for every. Elsewhere it only says so.
      spans: (specs of the parts by kind) -> the numbers of keys that its blocks of 16 queries read, of 72; None where it has no
        blocks.
      errors: as above.
    """

    reference: bool = False
    refuses: dict[str, str] = {}
    platform: str = ""
    spans: Callable[[dict[str, str]], set[int]] | None = None
    errors: dict[str, str] = {}

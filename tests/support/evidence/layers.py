"""Evidence of what layers and models are made of: masks, mixers, poolings, encoders and decoders."""
# ruff: noqa: RUF012 (defaults of a NamedTuple are shared, and nobody writes to them)

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis.strategies import SearchStrategy

from tests.support.witness import Oracles


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

"""What attention is made of: encoding, score, normalizer and mask."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from attention.records.call import Call, Dims, Params
from attention.specs import by_spec

Reads = Literal["block", "rows", "all"]


def most(*reads: Reads) -> Reads:
    """The largest of several claims on the scores."""
    order: tuple[Reads, ...] = ("block", "rows", "all")
    return max(reads, key=order.index)


class EncodingClaims(NamedTuple):
    """``extrapolates``: whether its paper claims use beyond the training length."""

    extrapolates: bool = False


class Encoding(NamedTuple):
    """How positions enter.

    Hooks, in the order they are applied:
      shared(rng, dims) -> what all layers share.
      init(rng, dims) -> what a layer owns.
      positions(params, call) -> call: transforms of the positions, per example (randomised, shifted); gets what is shared.
      embed(params, x, tokens, call) -> x: acts on the embeddings ``[*B T D]``, after block ``depth`` - 1.
      prepare(params, x, query, key, call) -> (q_features, k_features, rest): once per layer, on the whole sequence and
        before rotation. Leaves of the features have their length axis where query and key have it (``[*B T ...]``), and
        kernels slice them with their blocks; ``rest`` is handed on whole. Without it, all three are ``()``.
      rotate(params, query, key, call) -> (query, key); the score must be a function of q·k then.
      bias(params, q_features, k_features, rest, call) -> ``[*#B #N #t #s]`` float32, or None: added after scaling.
      modify(params, scores, q_features, k_features, rest, call) -> scores: after all biases.
      where(params, q_features, k_features, rest, call) -> bool ``[*#B #N #t #s]``, or None: in addition to the mask.
      values(params, weights, call) -> ``[*B t N H]``, or None: added to the output.
    Facts:
      reads: what these four need of the scores: any "block", whole "rows" of keys, or "all".
      terms: how many dot products are summed; the scale is 1/sqrt(terms·H).
      needs_causal: only defined under a causal mask.
      max_length: positions the method has a table for; None where unlimited, "dims" where it is ``Dims.max_length``; a tuple
        where several tables limit it.
      depth: the block before which ``embed`` acts.
      whole: whether what it makes of a token needs the other tokens' inputs or number, and not their keys alone.
      redraws: whether ``positions`` makes them anew from the order of the tokens, so that what moved them before is lost.
      ahead: why, under a causal mask too, what it does at a token depends on later ones or on how many there are; "" where it
        does not. (One that redraws depends on their number alone.)
      whole_row: why it wants a row to itself; "" where a packed document is what it is alone.
    """

    shared: Callable[[jax.Array, Dims], Params] | None = None
    init: Callable[[jax.Array, Dims], Params] | None = None
    positions: Callable[[Params, Call], Call] | None = None
    embed: Callable[[Params, jax.Array, Any, Call], jax.Array] | None = None
    prepare: Callable[[Params, Any, jax.Array, jax.Array, Call], tuple[Any, Any, Any]] | None = None
    rotate: Callable[[Params, jax.Array, jax.Array, Call], tuple[jax.Array, jax.Array]] | None = None
    bias: Callable[[Params, Any, Any, Any, Call], jax.Array | None] | None = None
    modify: Callable[[Params, jax.Array, Any, Any, Any, Call], jax.Array] | None = None
    where: Callable[[Params, Any, Any, Any, Call], jax.Array | None] | None = None
    values: Callable[[Params, jax.Array, Call], jax.Array | None] | None = None
    reads: Reads = "block"
    terms: int = 1
    needs_causal: bool = False
    max_length: int | Literal["dims"] | tuple[int | Literal["dims"], ...] | None = None
    depth: int = 0
    whole: bool = False
    redraws: bool = False
    ahead: str = ""
    whole_row: str = ""
    claims: EncodingClaims = EncodingClaims()
    spec: str = ""

    kind = "encoding"

    @property
    def on_scores(self) -> bool:
        """Whether it changes scores or output, and not queries and keys or embeddings alone."""
        return any(hook is not None for hook in (self.bias, self.modify, self.where, self.values))

    def __reduce__(self) -> Any:
        return by_spec(self)


class Score(NamedTuple):
    """How a query and a key are compared.

    Hooks:
      init(rng, dims) -> what a layer owns.
      project(params, query, key, call) -> (query, key): once, before rotation.
      apply(params, query, key, call) -> ``[*B N t s]`` float32, for any block; multiplies q·k by ``call.scale``.
      factors(params, query, key, call) -> (query, key) whose products q·k are the scores, where they are nothing else.
    Facts:
      scaled: whether q·k is multiplied by 1/sqrt(terms·H).
      dot_product: whether, after ``project``, the score depends on query and key through their lengths and q·k alone, as
        rotations require.
      uses: what the score reads; a score by position ignores the key, and a fixed one both.
      max_length: positions the score has weights for; None where unlimited, "dims" where it is ``Dims.max_length``.
    """

    apply: Callable[[Params, jax.Array, jax.Array, Call], jax.Array]
    init: Callable[[jax.Array, Dims], Params] | None = None
    project: Callable[[Params, jax.Array, jax.Array, Call], tuple[jax.Array, jax.Array]] | None = None
    factors: Callable[[Params, jax.Array, jax.Array, Call], tuple[jax.Array, jax.Array]] | None = None
    scaled: bool = False
    dot_product: bool = False
    uses: tuple[str, ...] = ("query", "key")
    max_length: int | Literal["dims"] | None = None
    spec: str = ""

    kind = "score"

    def __reduce__(self) -> Any:
        return by_spec(self)


class Streaming(NamedTuple):
    """Weights of a row found in one pass over blocks of its keys.

    Every block gives numerators u_j, a denominator d and a shift m, so that with the sum over all blocks and the start
    ``a_j = u_j e^m / Σ d e^m``, or 0 where that sum is 0. The shifts keep the exponentials in range.

    Hooks:
      start(params, call) -> (d, m): what is in the denominator before any key; numbers or ``[N 1 1]``.
      block(params, scores, mask, count, call) -> (u ``[*B N t s]``, d ``[*B N t 1]``, m ``[*B N t 1]``), with ``count`` the
        allowed keys of the whole row ``[*#B #N #t 1]``, at least 1.
      exponents(params, scores, count, call) -> z ``[*B N t s]``, where the numerators are ``e^z`` and the denominator is their
        sum; scores are 0 where masked, and what z is there is not read.
    """

    block: Callable[[Params, jax.Array, Any, jax.Array, Call], tuple[jax.Array, jax.Array, jax.Array]]
    start: Callable[[Params, Call], tuple[Any, Any]] = lambda params, call: (0.0, -np.inf)
    exponents: Callable[[Params, jax.Array, jax.Array, Call], jax.Array] | None = None


class NormalizerClaims(NamedTuple):
    """What the weights can be and do.

    ``row_sum`` is "one", "at most one" or "any"; ``exact_zeros`` and ``signed``: whether there may be such weights;
    ``shift_invariant``: whether a number added to all scores of a row changes nothing; ``random``: whether weights are drawn in
    training, from ``call.rng``.
    """

    row_sum: Literal["one", "at most one", "any"] = "one"
    exact_zeros: bool = False
    signed: bool = False
    shift_invariant: bool = True
    random: bool = False


class Normalizer(NamedTuple):
    """How scores become weights.

    Hooks:
      init(rng, dims) -> what a layer owns.
      qk(params, query, key, call) -> (query, key): ``[*B T N H]`` and ``[*B S K H]`` as projected, before anything else.
      apply(params, scores, mask, call) -> weights: float32 ``[*B N t S]``; exactly 0 where the bool mask is False, and a
        row without an allowed key is all zeros.
      finish(params, output, x, call) -> output: ``[*B T N H]`` after the weighted sum.
    Facts:
      reads: "block" where each weight depends on its own score, "rows" where it needs its row, "all" where rows couple.
      streaming: how rows are built up from blocks of keys; None where a row is needed whole.
      maps: score maps per head; ``apply`` makes ``[*B N/maps t S]`` of ``[*B N t S]``, and a head's values are those of its
        maps side by side.
      needs_causal: only defined under a causal mask.
      positional: whether it reads positions. (Encodings that act on scores do, and scores with a ``max_length``.)
      by_mode: whether it does something else in training than in evaluation. (Encodings with ``positions`` do.)
      plain: whether the weights are ``e^s / Σ e^s`` of the scores as they are, which is all that fused kernels of others know.
    """

    apply: Callable[[Params, jax.Array, Any, Call], jax.Array]
    init: Callable[[jax.Array, Dims], Params] | None = None
    qk: Callable[[Params, jax.Array, jax.Array, Call], tuple[jax.Array, jax.Array]] | None = None
    finish: Callable[[Params, jax.Array, Any, Call], jax.Array] | None = None
    reads: Reads = "rows"
    streaming: Streaming | None = None
    maps: int = 1
    needs_causal: bool = False
    positional: bool = False
    by_mode: bool = False
    plain: bool = False
    claims: NormalizerClaims = NormalizerClaims()
    spec: str = ""

    kind = "normalizer"

    def __reduce__(self) -> Any:
        return by_spec(self)


class Mask(NamedTuple):
    """Who may attend to whom, beside padding.

    Hooks:
      apply(call, lengths) -> bool ``[*#B 1 #t #s]``, True = may attend, for the block whose positions ``call`` holds and
        whose sizes are ``lengths = (t, s)``, or None where everything may.
      blocks(T, S, bq, bk, last) -> bool ``[*#B ceil(T/bq) ceil(S/bk)]``, False for blocks without an allowed pair when
        positions are 0, 1, ..., or None where none can be skipped. ``last`` is ``call.k_last``, or None: what then is False is
        so wherever texts end, and a NumPy array says it.
      limits(T, S, bq, bk) -> (blocks of keys, blocks of queries), where ``blocks`` depends on ``last``: wherever a text ends,
        at most so many blocks of queries keep more than so many blocks of keys.
    Facts:
      causal: no query attends to a later position.
      ahead: why, of earlier keys too, whom a query may attend to depends on how many tokens there are; "" where it does not.
      positional: whether ``apply`` reads positions, and not segments alone.
      packs: whether no query attends to another segment.
      band: (before, after) where it allows ``i - before <= j <= i + after`` and nothing else, None for no limit on a side; None
        where it is not such a band.
      whole_row: as of an encoding.
    """

    apply: Callable[[Call, tuple[int, int]], jax.Array | None] | None = None
    blocks: Callable[[int, int, int, int, Any], Any] | None = None
    limits: Callable[[int, int, int, int], tuple[int, int] | None] | None = None
    causal: bool = False
    ahead: str = ""
    positional: bool = True
    packs: bool = False
    band: tuple[int | None, int | None] | None = None
    whole_row: str = ""
    spec: str = ""

    kind = "mask"

    def __reduce__(self) -> Any:
        return by_spec(self)


class Parts(NamedTuple):
    """The records a mixer is made of."""

    encoding: Encoding
    score: Score
    normalizer: Normalizer
    mask: Mask

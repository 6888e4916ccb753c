"""The records of the kinds: named tuples of pure functions with harmless defaults, plus facts about the method.

Axes: ``B`` batch (any number of leading axes), ``T`` query length, ``S`` key length, ``N`` heads, ``K`` key/value heads,
``H`` head dim, ``D`` model dim, ``V`` vocabulary. Queries, keys and values are ``[*B T N H]``; scores and weights
``[*B N T S]``; masks and biases ``[*#B #N #T #S]``. Hooks may be asked for any block ``[t s]`` of the scores.

Hooks of encodings, scores and normalizers take ``params = (shared, own)``: what ``init`` returned for ``dims.layer=None``,
which all layers share, and what it returned for this layer; both are ``{}`` where there is nothing. Mixers and poolings have
parameters of their own alone.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

Params = Any
Reads = Literal["nothing", "block", "rows", "all"]


def most(*reads: Reads) -> Reads:
    """The largest of several claims on the scores."""
    order: tuple[Reads, ...] = ("nothing", "block", "rows", "all")
    return max(reads, key=order.index)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["q_positions", "k_positions", "q_valid", "k_valid", "q_segments", "k_segments", "k_last", "rng"],
    meta_fields=["train", "scale", "layer", "max_length", "consecutive"],
)
@dataclasses.dataclass(frozen=True)
class Call:
    """What every hook is told beside its arrays.

    Attributes:
      q_positions: int32 ``[*#B T]`` (float32 only where an encoding made them so), a tuple with one leaf per term once a
        composed encoding has transformed them; None means 0, 1, ..., T-1, and only then may blocks be skipped statically.
      k_positions: the same for the keys, ``[*#B S]``.
      q_valid: bool ``[*#B T]``, False at padding; None means all valid.
      k_valid: bool ``[*#B S]``.
      q_segments: int32 ``[*#B T]``, the segment (document, sentence) of each query; None for one segment.
      k_segments: the same for the keys, ``[*#B S]``.
      k_last: int32 ``[*#B]``, the largest position of a valid key, -1 where there is none; ``attend`` fills it in, for masks
        that ask where the text ends.
      rng: key for whatever is random in this call; None where nothing may be.
      train: whether this is a training step (static).
      scale: what the score multiplies q·k by (static); terms that belong inside the same scaling multiply by it too.
      layer: the 0-based layer (static).
      max_length: the longest sequence of training (static); None where nobody said.
      consecutive: whether the positions of both sides count up by ones, alike for all examples (static), so that what depends
        on the distance alone has few values; a tuple with one entry per term where positions are one.
    """

    q_positions: Any = None
    k_positions: Any = None
    q_valid: jax.Array | None = None
    k_valid: jax.Array | None = None
    q_segments: jax.Array | None = None
    k_segments: jax.Array | None = None
    k_last: jax.Array | None = None
    rng: Any = None
    train: bool = False
    scale: float = 1.0
    layer: int = 0
    max_length: int | None = None
    consecutive: bool | tuple[bool, ...] = False


class Dims(NamedTuple):
    """The static sizes ``init`` is told.

    ``layer`` is None for what the layers share, else the 0-based layer. ``reads`` names what a mixer's projections are read as:
    what nothing reads needs no weights.
    """

    num_heads: int
    kv_heads: int
    head_dim: int
    model_dim: int
    num_layers: int = 1
    layer: int | None = None
    max_length: int | None = None
    vocab_size: int | None = None
    causal: bool = False
    reads: tuple[str, ...] = ("query", "key")


def no_params(rng: jax.Array, dims: Dims) -> Params:
    """An ``init`` for variants without parameters."""
    return {}


def _positions(params: Params, call: Call) -> Call:
    return call


def _embed(params: Params, x: jax.Array, tokens: jax.Array, call: Call) -> jax.Array:
    return x


def _prepare(params: Params, x: Any, query: jax.Array, key: jax.Array, call: Call) -> tuple[Any, Any, Any]:
    return (), (), ()


def _pair(params: Params, query: jax.Array, key: jax.Array, call: Call) -> tuple[jax.Array, jax.Array]:
    return query, key


def _no_bias(params: Params, q_features: Any, k_features: Any, rest: Any, call: Call) -> jax.Array | None:
    return None


def _no_where(params: Params, q_features: Any, k_features: Any, rest: Any, call: Call) -> jax.Array | None:
    return None


def _modify(params: Params, scores: jax.Array, q_features: Any, k_features: Any, rest: Any, call: Call) -> jax.Array:
    return scores


def _no_values(params: Params, weights: jax.Array, call: Call) -> jax.Array | None:
    return None


class Encoding(NamedTuple):
    """How positions enter.

    Hooks, in the order they are applied:
      init(rng, dims) -> params
      positions(params, call) -> call: transforms of the positions, per example (randomised, shifted).
      embed(params, x, tokens, call) -> x: acts on the embeddings ``[*B T D]``, after block ``depth`` - 1.
      prepare(params, x, query, key, call) -> (q_features, k_features, rest): once per layer, on the whole sequence and
        before rotation. Leaves of the features have their length axis where query and key have it (``[*B T ...]``), and
        kernels slice them with their blocks; ``rest`` is handed on whole.
      rotate(params, query, key, call) -> (query, key)
      bias(params, q_features, k_features, rest, call) -> ``[*#B #N #t #s]`` float32 or None: added after scaling.
      modify(params, scores, q_features, k_features, rest, call) -> scores: after all biases.
      where(params, q_features, k_features, rest, call) -> bool ``[*#B #N #t #s]`` or None: in addition to the mask.
      values(params, weights, call) -> ``[*B t N H]`` or None: added to the output.
    Facts:
      reads: what ``bias``, ``modify`` and ``values`` need of the scores: "nothing" (there is none of them), any "block",
        whole "rows" of keys, or "all".
      rotates: whether ``rotate`` acts, so that the score must be a function of q·k.
      terms: how many dot products are summed; the scale is 1/sqrt(terms·H).
      needs_causal: only defined under a causal mask.
      max_length: positions the method has a table for; None where unlimited, "dims" where it is ``Dims.max_length``; a tuple
        where several tables limit it.
      extrapolates: whether its paper claims use beyond the training length.
      depth: the block before which ``embed`` acts.
      redraws: whether ``positions`` makes them anew from the order of the tokens, so that what moved them before is lost.
    """

    init: Callable[[jax.Array, Dims], Params] = no_params
    positions: Callable[[Params, Call], Call] = _positions
    embed: Callable[[Params, jax.Array, jax.Array, Call], jax.Array] = _embed
    prepare: Callable[[Params, Any, jax.Array, jax.Array, Call], tuple[Any, Any, Any]] = _prepare
    rotate: Callable[[Params, jax.Array, jax.Array, Call], tuple[jax.Array, jax.Array]] = _pair
    bias: Callable[[Params, Any, Any, Any, Call], jax.Array | None] = _no_bias
    modify: Callable[[Params, jax.Array, Any, Any, Any, Call], jax.Array] = _modify
    where: Callable[[Params, Any, Any, Any, Call], jax.Array | None] = _no_where
    values: Callable[[Params, jax.Array, Call], jax.Array | None] = _no_values
    reads: Reads = "nothing"
    rotates: bool = False
    terms: int = 1
    needs_causal: bool = False
    max_length: int | Literal["dims"] | tuple[int | Literal["dims"], ...] | None = None
    extrapolates: bool = False
    depth: int = 0
    redraws: bool = False

    kind = "encoding"


class Score(NamedTuple):
    """How a query and a key are compared.

    Hooks:
      init(rng, dims) -> params
      project(params, query, key, call) -> (query, key): once, before rotation.
      apply(params, query, key, call) -> ``[*B N t s]`` float32, for any block; multiplies q·k by ``call.scale``.
    Facts:
      scaled: whether q·k is multiplied by 1/sqrt(terms·H).
      dot_product: whether, after ``project``, the score depends on query and key through their lengths and q·k alone, as
        rotations require.
      uses: what the score reads; a score by position ignores the key, and a fixed one both.
      max_length: positions the score has weights for; None where unlimited, "dims" where it is ``Dims.max_length``.
    """

    apply: Callable[[Params, jax.Array, jax.Array, Call], jax.Array]
    init: Callable[[jax.Array, Dims], Params] = no_params
    project: Callable[[Params, jax.Array, jax.Array, Call], tuple[jax.Array, jax.Array]] = _pair
    scaled: bool = False
    dot_product: bool = False
    uses: tuple[str, ...] = ("query", "key")
    max_length: int | Literal["dims"] | None = None

    kind = "score"


class Streaming(NamedTuple):
    """Weights of a row found in one pass over blocks of its keys.

    Every block gives numerators u_j, a denominator d and a shift m, so that with the sum over all blocks and the start
    ``a_j = u_j e^m / Σ d e^m``, or 0 where that sum is 0. The shifts keep the exponentials in range.

    Hooks:
      start(params, call) -> (d, m): what is in the denominator before any key; numbers or ``[N 1 1]``.
      block(params, scores, mask, count, call) -> (u ``[*B N t s]``, d ``[*B N t 1]``, m ``[*B N t 1]``), with ``count`` the
        allowed keys of the whole row ``[*#B #N #t 1]``, at least 1.
    """

    block: Callable[[Params, jax.Array, Any, jax.Array, Call], tuple[jax.Array, jax.Array, jax.Array]]
    start: Callable[[Params, Call], tuple[Any, Any]] = lambda params, call: (0.0, -np.inf)


def _finish(params: Params, output: jax.Array, x: Any, call: Call) -> jax.Array:
    return output


class Normalizer(NamedTuple):
    """How scores become weights.

    Hooks:
      init(rng, dims) -> params
      qk(params, query, key, call) -> (query, key): ``[*B T N H]`` and ``[*B S K H]`` as projected, before anything else.
      apply(params, scores, mask, call) -> weights: float32 ``[*B N t S]``; exactly 0 where the bool mask is False, and a
        row without an allowed key is all zeros.
      finish(params, output, x, call) -> output: ``[*B T N H]`` after the weighted sum.
    Facts:
      reads: "block" where each weight depends on its own score, "rows" where it needs its row, "all" where rows couple.
      streaming: how rows are built up from blocks of keys; None where a row is needed whole.
      row_sum: "one", "at most one" or "any".
      exact_zeros, signed, shift_invariant: what the weights can be and do.
      maps: score maps per head; ``apply`` makes ``[*B N/maps t S]`` of ``[*B N t S]``, and a head's values are those of its
        maps side by side.
      needs_causal: only defined under a causal mask.
      random: whether weights are drawn in training, from ``call.rng``.
    """

    apply: Callable[[Params, jax.Array, Any, Call], jax.Array]
    init: Callable[[jax.Array, Dims], Params] = no_params
    qk: Callable[[Params, jax.Array, jax.Array, Call], tuple[jax.Array, jax.Array]] = _pair
    finish: Callable[[Params, jax.Array, Any, Call], jax.Array] = _finish
    reads: Reads = "rows"
    streaming: Streaming | None = None
    row_sum: Literal["one", "at most one", "any"] = "one"
    exact_zeros: bool = False
    signed: bool = False
    shift_invariant: bool = True
    maps: int = 1
    needs_causal: bool = False
    random: bool = False

    kind = "normalizer"


class Mask(NamedTuple):
    """Who may attend to whom, beside padding.

    Hooks:
      apply(call, lengths) -> bool ``[*#B 1 #t #s]``, True = may attend, for the block whose positions ``call`` holds and
        whose sizes are ``lengths = (t, s)``; None where everything may.
      blocks(T, S, bq, bk, last) -> bool ``[*#B ceil(T/bq) ceil(S/bk)]``, False for blocks without an allowed pair when
        positions are 0, 1, ...; None where none can be skipped. ``last`` is ``call.k_last``, or None: what then is False is so
        wherever texts end, and a NumPy array says it.
      limits(T, S, bq, bk) -> (blocks of keys, blocks of queries), where ``blocks`` depends on ``last``: wherever a text ends,
        at most so many blocks of queries keep more than so many blocks of keys. None where it does not depend on it.
    Facts:
      causal: no query attends to a later position.
    """

    apply: Callable[[Call, tuple[int, int]], jax.Array | None]
    blocks: Callable[[int, int, int, int, Any], Any] = lambda T, S, bq, bk, last: None
    limits: Callable[[int, int, int, int], tuple[int, int] | None] = lambda T, S, bq, bk: None
    causal: bool = False

    kind = "mask"


class Parts(NamedTuple):
    """The records a mixer is made of."""

    encoding: Encoding
    score: Score
    normalizer: Normalizer
    mask: Mask


class Context(NamedTuple):
    """What an encoder and its mixers are told beside their input.

    Attributes:
      parts: the records of the other kinds.
      params: (shared, own) of "encoding", "score" and "normalizer", for the layer that is running.
      encoding_call: the call as the encoding's ``positions`` left it; masks see the positions as they came.
      tokens: ``[*B T]`` token ids.
      kernel: the kernel asked for: "auto" or a file of ``attention/kernels``.
      dropout: rate on the weights and on what a block adds, a float or a traced scalar; None where there is none.
      memory: ``[*B S D]`` keys and values of cross-attention, whose positions, padding and segments are the keys' of the call;
        None for self-attention.
      record: called with a name and a value to keep an intermediate result; None keeps nothing.
      remembered: keys and values as the mixer's ``remember`` made them before, in place of those of ``memory`` or of the input.
    """

    parts: Parts
    params: dict[str, tuple[Params, Params]]
    encoding_call: Call | None = None
    tokens: Any = None
    kernel: str = "auto"
    dropout: Any = None
    memory: jax.Array | None = None
    record: Callable[[str, Any], None] | None = None
    remembered: Any = None


def _goes(parts: Parts) -> tuple[str, str] | None:
    return None


class Mixer(NamedTuple):
    """How a layer moves information between positions.

    Hooks:
      init(rng, dims) -> params of one layer (the parts' own parameters are in the context).
      apply(params, x, context, call) -> x: ``[*B T D]``; padding changes nothing at valid positions, and what is at padded
        ones has no meaning.
      refuses(parts) -> (kind, reason) of a part that does not go with the mixer's options, or None.
      remember(params, x) -> what ``apply`` reads of ``[*B S D]`` beside its queries, for ``Context.remembered``: leaves
        ``[*B S ...]``, each of whose rows is made of one row of ``x``. None where there is no such thing.
    Facts:
      num_heads, kv_heads: heads of queries and of keys and values.
      head_dim: None for model_dim / num_heads.
      uses: the parts the mixer gives a meaning to; the others must stay at their defaults. "rotation" in place of "encoding"
        where an encoding may rotate queries and keys and do nothing else to them.
      masks: specs of the masks that a mixer without "mask" has forms for, beside the default.
      max_length: positions the mixer has weights for; None where unlimited, "dims" where it is ``Dims.max_length``.
      attends: whether it goes through ``attention.attend``, so that there is a kernel to choose and weights to drop.
    """

    apply: Callable[[Params, jax.Array, Context, Call], jax.Array]
    init: Callable[[jax.Array, Dims], Params]
    num_heads: int = 1
    kv_heads: int = 1
    head_dim: int | None = None
    uses: tuple[str, ...] = ("encoding", "score", "normalizer", "mask")
    masks: tuple[str, ...] = ()
    max_length: int | Literal["dims"] | None = None
    attends: bool = True
    refuses: Callable[[Parts], tuple[str, str] | None] = _goes
    remember: Callable[[Params, jax.Array], Any] | None = None

    kind = "mixer"


class Pooled(NamedTuple):
    """What a pooling returns.

    Attributes:
      x: the vector ``[*B P]``.
      weights: over positions, float32 ``[*B T]``, or ``[*B R T]`` with R rows or heads; None where there are none to speak of.
      loss: a penalty of each example to add to its loss, ``[*B]`` or one number for all.
    """

    x: jax.Array
    weights: jax.Array | None = None
    loss: Any = 0.0


class Pooling(NamedTuple):
    """How a sequence becomes one vector.

    Hooks:
      init(rng, dims) -> params
      apply(params, x, call) -> Pooled: ``[*B T D]`` to ``[*B width]``; padding (``call.q_valid``) changes nothing and an
        empty sequence gives zeros.
    Facts:
      width(D): size of the vector.
      extra_tokens: learned tokens put before the text.
    """

    apply: Callable[[Params, jax.Array, Call], Pooled]
    init: Callable[[jax.Array, Dims], Params] = no_params
    width: Callable[[int], int] = lambda model_dim: model_dim
    extra_tokens: int = 0

    kind = "pooling"

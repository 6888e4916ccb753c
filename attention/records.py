"""The records of the kinds: named tuples of pure functions, plus facts about the method.

Axes: ``B`` batch (any number of leading axes), ``T`` query length, ``S`` key length, ``N`` heads, ``K`` key/value heads,
``H`` head dim, ``D`` model dim, ``V`` vocabulary. Queries, keys and values are ``[*B T N H]``; scores and weights
``[*B N T S]``; masks and biases ``[*#B #N #T #S]``. Hooks may be asked for any block ``[t s]`` of the scores.

A hook that a variant does not have is None, and so is ``init`` where there are no parameters. ``init(rng, dims)`` makes what a
layer owns, and ``shared(rng, dims)``, of encodings, what all layers of a stack share; hooks get one dict of both (``merged``).
Claims are what only documentation and tests read.

A record that ``build`` made knows its ``spec``, by which it is pickled.
"""

import dataclasses
import functools
import pickle
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from attention import specs

Params = Any
Reads = Literal["block", "rows", "all"]


def most(*reads: Reads) -> Reads:
    """The largest of several claims on the scores."""
    order: tuple[Reads, ...] = ("block", "rows", "all")
    return max(reads, key=order.index)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["q_positions", "k_positions", "q_valid", "k_valid", "q_segments", "k_segments", "k_last", "rng", "heads"],
    meta_fields=["train", "scale", "layer", "max_length", "consecutive", "num_heads"],
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
      heads: int32 ``[N]``, which heads of the layer these are, where ``shard_map`` splits them, for parts that go by a head's
        number; None for all, 0, 1, ..., N-1.
      num_heads: how many heads the layer has (static), where ``heads`` says which.
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
    heads: jax.Array | None = None
    num_heads: int | None = None


class Dims(NamedTuple):
    """The static sizes ``init`` and ``shared`` are told.

    ``layer`` is the 0-based layer, of no meaning for what the layers share. ``reads`` names what a mixer's projections are
    read as: what nothing reads needs no weights.
    """

    num_heads: int
    kv_heads: int
    head_dim: int
    model_dim: int
    num_layers: int = 1
    layer: int = 0
    max_length: int | None = None
    vocab_size: int | None = None
    causal: bool = False
    reads: tuple[str, ...] = ("query", "key")


def merged(shared: Params, own: Params) -> Params:
    """One tree of what the layers share and of what a layer owns.

    Example:
      >>> merged({"0": {"table": 1}}, {"0": {"scale": 2}})
      {'0': {'table': 1, 'scale': 2}}

    Raises:
      ValueError: for a leaf that is in both, naming it.
    """
    both = dict(shared)
    for name, leaf in own.items():
        if name in both and not (isinstance(both[name], Mapping) and isinstance(leaf, Mapping)):
            raise ValueError(f"the parameter {name!r} is shared by the layers and owned by one, too")
        both[name] = merged(both[name], leaf) if name in both else leaf
    return both


def by_spec(record: Any) -> tuple[Any, tuple[str, str]]:
    """How ``pickle`` keeps a record: as its spec. Raises PicklingError for one that ``build`` did not make."""
    if not record.spec or specs.build(record.kind, record.spec) is not record:
        raise pickle.PicklingError(f"the {record.kind} is pickled as its spec, and this one was changed or made by hand")
    return specs.build, (record.kind, record.spec)


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
      redraws: whether ``positions`` makes them anew from the order of the tokens, so that what moved them before is lost.
    """

    shared: Callable[[jax.Array, Dims], Params] | None = None
    init: Callable[[jax.Array, Dims], Params] | None = None
    positions: Callable[[Params, Call], Call] | None = None
    embed: Callable[[Params, jax.Array, jax.Array, Call], jax.Array] | None = None
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
    redraws: bool = False
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
    """

    block: Callable[[Params, jax.Array, Any, jax.Array, Call], tuple[jax.Array, jax.Array, jax.Array]]
    start: Callable[[Params, Call], tuple[Any, Any]] = lambda params, call: (0.0, -np.inf)


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
      positional: whether ``apply`` reads positions, and not segments alone.
    """

    apply: Callable[[Call, tuple[int, int]], jax.Array | None] | None = None
    blocks: Callable[[int, int, int, int, Any], Any] | None = None
    limits: Callable[[int, int, int, int], tuple[int, int] | None] | None = None
    causal: bool = False
    positional: bool = True
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


class Context(NamedTuple):
    """What an encoder and its mixers are told beside their input.

    Attributes:
      parts: the records of the other kinds.
      params: of "encoding", "score" and "normalizer", for the layer that is running; parts without any are not there.
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
    params: dict[str, Params]
    encoding_call: Call | None = None
    tokens: Any = None
    kernel: str = "auto"
    dropout: Any = None
    memory: jax.Array | None = None
    record: Callable[[str, Any], None] | None = None
    remembered: Any = None


class Mixer(NamedTuple):
    """How a layer moves information between positions.

    Hooks:
      init(rng, dims) -> params of one layer (the parts' own parameters are in the context).
      apply(params, x, context, call) -> x: ``[*B T D]``; padding changes nothing at valid positions, and what is at padded
        ones has no meaning.
      refuses(parts) -> (kind, reason) of a part that does not go with the mixer's options, or None.
      remember(params, x) -> what ``apply`` reads of ``[*B S D]`` beside its queries, for ``Context.remembered``: leaves
        ``[*B S ...]``, each of whose rows is made of one row of ``x``.
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
    init: Callable[[jax.Array, Dims], Params] | None = None
    num_heads: int = 1
    kv_heads: int = 1
    head_dim: int | None = None
    uses: tuple[str, ...] = ("encoding", "score", "normalizer", "mask")
    masks: tuple[str, ...] = ()
    max_length: int | Literal["dims"] | None = None
    attends: bool = True
    refuses: Callable[[Parts], tuple[str, str] | None] | None = None
    remember: Callable[[Params, jax.Array], Any] | None = None
    spec: str = ""

    kind = "mixer"

    def __reduce__(self) -> Any:
        return by_spec(self)


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
    init: Callable[[jax.Array, Dims], Params] | None = None
    width: Callable[[int], int] = lambda model_dim: model_dim
    extra_tokens: int = 0
    spec: str = ""

    kind = "pooling"

    def __reduce__(self) -> Any:
        return by_spec(self)


class Gate(NamedTuple):
    """How much of each feature passes.

    Hooks:
      init(rng, D) -> params
      apply(params, x) -> x: acts on ``[*B D]``. Without it, everything passes.
    """

    init: Callable[[jax.Array, int], Params] | None = None
    apply: Callable[[Params, jax.Array], jax.Array] | None = None
    spec: str = ""

    kind = "gate"

    def __reduce__(self) -> Any:
        return by_spec(self)

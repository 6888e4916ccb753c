"""Ways to compute the same attention: one file per kernel; what all are made of, and which of them runs.

A block is some queries on some keys. Every kernel computes blocks by ``attend_block``, or in parts of it, so that the order of
operations is in one place.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from attention import specs
from attention.broadcast import spread
from attention.dropout import dropped
from attention.records import Call, Params, Parts, Reads, most
from attention.specs import by_spec


class Problem(NamedTuple):
    """What a kernel computes: heads expanded, keys projected and rotated, features prepared.

    Attributes:
      query, key, value: ``[*B T N H]``, ``[*B S N H]``, ``[*B S N H]``.
      q_features, k_features, rest: what the encoding prepared.
      where: bool ``[*#B #N #T #S]`` or None, in addition to the mask and the padding of the call.
      bias: float ``[*#B #N #T #S]`` or None, in addition to the encoding's; -inf masks.
      call: with concrete positions, as masks see them.
      encoding_call: with concrete positions, as the encoding made them.
      params: of "encoding", "score" and "normalizer", ``{}`` for parts without any.
      dropout: rate on the weights, or what drops them (``dropout.dropped``), or None.
      parts: the records.
      ordered: whether positions are 0, 1, ..., so that blocks may be skipped statically.
      plan: what the kernel reads, where it plans.
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    q_features: Any
    k_features: Any
    rest: Any
    where: jax.Array | None
    bias: jax.Array | None
    call: Call
    encoding_call: Call
    params: dict[str, Params]
    dropout: Any
    parts: Parts
    ordered: bool
    plan: Any = None


class Given(NamedTuple):
    """What the arrays of a call are.

    Attributes:
      dtypes: of query, key and value.
      sizes: of a head, H and E.
      arrays: those of "where", "bias" and "valid" (of the keys) that are there.
      dropout: whether weights are dropped.
      ordered: as of a problem.
      prefix: as of the call.
    """

    dtypes: tuple[Any, ...]
    sizes: tuple[int, int]
    arrays: tuple[str, ...] = ()
    dropout: bool = False
    ordered: bool = True
    prefix: bool = False


class Ask(NamedTuple):
    """What a kernel is asked to compute.

    Attributes:
      parts: the records.
      scores: the shape ``(*B, N, T, S)``.
      weights: whether the weights are to be returned.
      given: what is known of the arrays; None where it is asked before there are any, of the parts alone.
    """

    parts: Parts
    scores: tuple[int, ...]
    weights: bool = False
    given: Given | None = None

    @property
    def ordered(self) -> bool:
        """Whether positions are 0, 1, ..., as far as is known, so that blocks may be skipped statically."""
        return self.given is None or self.given.ordered

    @property
    def reads(self) -> Reads:
        """What the normalizer and the encoding need of the scores at a time."""
        return most(self.parts.encoding.reads, self.parts.normalizer.reads)


class Kernel(NamedTuple):
    """A way to compute attention.

    Hooks:
      serves(ask, device) -> why it cannot, or None. ``device`` is the backend that the program is compiled for.
      run(problem) -> (output ``[*B T N E]``, weights ``[*B N T S]`` before dropout, or None where it never holds them).
      plan(problem) -> problem, before anything is prepared and projected.
      choose(ask, device) -> the name of the kernel that runs in its place.
    """

    serves: Callable[[Ask, str], str | None]
    run: Callable[[Problem], tuple[jax.Array, jax.Array | None]]
    plan: Callable[[Problem], Problem] | None = None
    choose: Callable[[Ask, str], str] | None = None
    spec: str = ""

    kind = "kernel"

    def __reduce__(self) -> Any:
        return by_spec(self)


class Chosen(NamedTuple):
    """The kernel that runs, and its spec."""

    spec: str
    kernel: Kernel


def chosen(spec: str, ask: Ask) -> Chosen:
    """The kernel that a spec names, or that the one it names chooses.

    Raises:
      ValueError: for a spec that cannot be built, or a kernel that cannot do what is asked.
    """
    kernel, device = specs.build("kernel", spec), jax.default_backend()
    if kernel.choose is not None:
        spec = kernel.choose(ask, device)
        kernel = specs.build("kernel", spec)
    reason = kernel.serves(ask, device)
    if reason is not None:
        raise ValueError(f"kernel={spec}: {reason}")
    return Chosen(spec, kernel)


def attend_block(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """Output ``[*B t N H]`` and weights ``[*B N t s]`` of a block of queries on the keys at hand.

    Order: score and scale, the encoding's bias, the bias given, what modifies scores, mask, normalizer, dropout, sum of values.
    """
    scores, mask = block_scores(problem)
    weights = problem.parts.normalizer.apply(problem.params["normalizer"], scores, mask, problem.call)
    return block_output(problem, weights, 0), weights


def block_scores(problem: Problem) -> tuple[jax.Array, jax.Array | None]:
    """The scores ``[*B N t s]`` as the normalizer sees them, and who may attend to whom."""
    return biased(problem, problem.parts.score.apply(problem.params["score"], problem.query, problem.key, problem.call))


def add_bias(scores: jax.Array, bias: jax.Array) -> jax.Array:
    """Scores ``[*B N t s]`` and a bias that broadcasts to them, ``[*#B #N #t #s]``."""
    return scores + spread(bias, scores.shape)


def biased(
    problem: Problem, scores: jax.Array, add: Callable[[jax.Array, jax.Array], jax.Array] = add_bias
) -> tuple[jax.Array, jax.Array | None]:
    """The scores of a block with everything that is done to them before they become weights, and who may attend to whom."""
    encoding = problem.parts.encoding
    params, prepared = problem.params, (problem.q_features, problem.k_features, problem.rest)
    own = None if encoding.bias is None else encoding.bias(params["encoding"], *prepared, problem.encoding_call)
    given = None if problem.bias is None else jnp.where(problem.bias == -jnp.inf, 0.0, problem.bias)
    for bias in (own, given):
        if bias is not None:
            scores = add(scores, bias)
    if encoding.modify is not None:
        scores = encoding.modify(params["encoding"], scores, *prepared, problem.encoding_call)
    return scores, allowed(problem)


def block_output(problem: Problem, weights: jax.Array, block: Any) -> jax.Array:
    """The sum of values ``[*B t N H]`` of a block's weights, with the encoding's own; ``block`` numbers the dropout's key."""
    if problem.dropout is not None:
        weights = dropped(weights, problem.dropout, problem.call.rng, block)
    output = jnp.einsum("...nts,...snh->...tnh", weights.astype(problem.value.dtype), problem.value)
    values = problem.parts.encoding.values
    extra = None if values is None else values(problem.params["encoding"], weights, problem.encoding_call)
    return output if extra is None else output + extra.astype(output.dtype)


def allowed(problem: Problem) -> jax.Array | None:
    """The mask of the block, ``[*#B #N #t #s]``: who may attend to whom, or None where everyone may."""
    call = problem.call
    lengths = (problem.query.shape[-3], problem.key.shape[-3])
    given = None if problem.bias is None else problem.bias != -jnp.inf
    masks, where, mask = [problem.where, given], problem.parts.encoding.where, problem.parts.mask
    if where is not None:
        prepared = (problem.q_features, problem.k_features, problem.rest)
        masks.append(where(problem.params["encoding"], *prepared, problem.encoding_call))
    if mask.apply is not None:
        masks.append(mask.apply(call, lengths))
    if call.k_valid is not None:
        masks.append(call.k_valid[..., None, None, :])
    if call.q_valid is not None and problem.parts.normalizer.reads == "all":
        masks.append(call.q_valid[..., None, :, None])  # rows couple, so padded ones have to leave
    present = [mask for mask in masks if mask is not None]
    combined = None
    for mask in present:
        combined = mask if combined is None else combined & mask
    return combined


def keys_from(problem: Problem, batch: int, S: int, start: jax.Array, span: int) -> Problem:
    """The problem on ``span`` keys from ``start`` on."""
    return _on_keys(problem, batch, S, lambda leaf, axis: jax.lax.dynamic_slice_in_dim(leaf, start, span, axis))


def keys_of(problem: Problem, batch: int, S: int, blocks: jax.Array, size: int) -> Problem:
    """The problem on the keys of some blocks of ``size``.

    The blocks are numbered ``[c]``, or ``[*#B c]`` where examples differ. What they hold past the last key becomes padding, so
    that what counts keys counts each one once.
    """
    index = (blocks[..., None] * size + jnp.arange(size)).reshape(*blocks.shape[:-1], -1)
    inside, index = index < S, jnp.minimum(index, S - 1)
    here = _on_keys(problem, batch, S, lambda leaf, axis: take(leaf, axis, index, batch))

    def listed(call):
        return dataclasses.replace(call, k_valid=inside if call.k_valid is None else inside & call.k_valid, consecutive=False)

    return here._replace(call=listed(here.call), encoding_call=listed(here.encoding_call))


def _on_keys(problem: Problem, batch: int, S: int, pick: Callable[[jax.Array, int], jax.Array]) -> Problem:
    """The problem with everything that has a key axis picked along it."""
    cut = lambda leaf, axis: leaf if leaf is None or leaf.shape[axis] != S else pick(leaf, axis)

    def cut_call(call):
        of_tokens = {name: getattr(call, name) for name in ("k_positions", "k_valid", "k_segments")}
        return dataclasses.replace(call, **jax.tree.map(lambda leaf: cut(leaf, -1), of_tokens))

    return problem._replace(
        key=cut(problem.key, -3),
        value=cut(problem.value, -3),
        k_features=jax.tree.map(lambda leaf: cut(leaf, batch - leaf.ndim), problem.k_features),
        where=cut(problem.where, -1),
        bias=cut(problem.bias, -1),
        call=cut_call(problem.call),
        encoding_call=cut_call(problem.encoding_call),
    )


def take(leaf: jax.Array, axis: int, index: jax.Array, batch: int) -> jax.Array:
    """Entries of a leaf along an axis counted from the right, ``[n]`` or, where examples differ, ``[*#B n]``."""
    if index.ndim == 1:
        return jnp.take(leaf, index, axis=axis, mode="clip")
    if leaf.ndim + axis < batch:  # positions that all examples share
        leaf = leaf.reshape((1,) * (batch - leaf.ndim - axis) + leaf.shape)
    if index.ndim <= batch:
        index = index.reshape((1,) * (batch + 1 - index.ndim) + index.shape)
    one = [1 if leaf.shape[0] == 1 else 0, 1 if index.shape[0] == 1 else 0]
    inner = lambda leaf, index: take(leaf, axis, index, batch - 1)
    axes = tuple(None if single else 0 for single in one)
    leaf, index = (each[0] if single else each for each, single in zip((leaf, index), one))
    return inner(leaf, index)[None] if all(one) else jax.vmap(inner, in_axes=axes)(leaf, index)

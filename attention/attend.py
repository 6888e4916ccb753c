"""Attention as one function: every step from queries, keys and values to the output, in its canonical order."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention import arguments, compatibility, specs
from attention.broadcast import only_valid
from attention.dropout import check_rate
from attention.kernels import Ask, Problem, chosen
from attention.messages import quoted
from attention.positions import last_key
from attention.records import Call, Dims, Encoding, Mask, Normalizer, Params, Parts, Score


def parts_of(
    encoding: str | Encoding = "none",
    score: str | Score = "scaled_dot",
    normalizer: str | Normalizer = "softmax",
    mask: str | Mask = "full",
) -> Parts:
    """The records that specs name, checked for pairs that have no meaning.

    Raises:
      ValueError: for a spec that cannot be built, or an incompatible pair, with the reason.
    """
    kinds = {"encoding": encoding, "score": score, "normalizer": normalizer, "mask": mask}
    parts = Parts(**{kind: _part(kind, given) for kind, given in kinds.items()})
    compatibility.check_parts(parts, {kind: str(given) for kind, given in kinds.items() if isinstance(given, str)})
    return parts


def _part(kind: str, given: Any) -> Any:
    if isinstance(given, str):
        return specs.build(kind, given)
    if not isinstance(given, Parts.__annotations__[kind]):
        name = getattr(given, "kind", None) or getattr(given, "__name__", None) or type(given).__name__
        such = name if name in specs.names(kind) else specs.names(kind)[0]
        raise ValueError(f"{kind} wants a spec such as {such!r}, or attention.build({kind!r}, {such!r}), got {quoted(name)}")
    return given


def attend(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S K H"],
    value: Float[Array, "*B S K E"],
    *,
    encoding: str | Encoding = "none",
    score: str | Score = "scaled_dot",
    normalizer: str | Normalizer = "softmax",
    mask: str | Mask = "full",
    params: dict[str, Params] | None = None,
    where: Bool[Array, "..."] | None = None,
    bias: Float[Array, "..."] | None = None,
    x: Float[Array, "*B T D"] | None = None,
    call: Call | None = None,
    encoding_call: Call | None = None,
    dropout: float | Float[Array, ""] | None = None,
    kernel: str = "auto",
    return_weights: bool = False,
) -> Any:
    """Attention, ``o_i = Σ_j a_ij v_j`` with ``a = normalizer(mask(score(q, k) + bias))``.

    Order: QK-norm of the normalizer, projection of the score, rotation, score and scale, relative bias of the encoding, the
    bias given, what modifies scores, mask, normalizer, dropout, sum of values, and what the normalizer does to the output.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S K H]``; K divides N, and head h reads key head ``⌊h K / N⌋``.
      value: ``[*B S K E]``; E is H but where a mixer has wider or narrower values.
      encoding: spec or record of the positional encoding; one that acts on embeddings is refused.
      score: spec or record of the score function.
      normalizer: spec or record of the normalizer.
      mask: spec or record of the mask.
      params: of "encoding", "score" and "normalizer", as their ``init`` made them, with what ``shared`` made
        (``records.merged``); those without need none.
      where: bool ``[*#B #N #T #S]``, True = may attend, in addition to the mask and to the padding of the call.
      bias: float ``[*#B #N #T #S]``, added after scaling; -inf masks, so that a row of it is empty.
      x: the layer's input ``[*B T D]``, for encodings that read it.
      call: positions, validity, key and mode; None for positions 0, 1, ... without padding, which wants as many queries as
        keys where a part reads positions.
      encoding_call: the call as the encoding's ``positions`` left it, where that was called before; None calls it here.
      dropout: rate on the weights, drawn from ``call.rng``; None for none.
      kernel: spec of the kernel.
      return_weights: whether to return the weights too, which the dense kernel alone can.

    Returns:
      The output ``[*B T N E]`` in the type of ``value``, with ``return_weights`` also the weights ``[*B N T S]`` before
      dropout, float32 (``[*B N/maps T S]`` of a normalizer with several score maps per head). Masked keys have exactly no
      weight; a query that may attend to nothing gets zeros.

    Raises:
      ValueError: for types and shapes that do not fit, specs that cannot be built, incompatible pairs, parameters that are not
        those of the parts, positions that are wanting, or a kernel that cannot do it.

    Example:
      >>> attention.attend(query, key, value, encoding="rope", normalizer="sparsemax", mask="causal & local(window=64)")

    Source: Vaswani et al. 2017 (arXiv 1706.03762); grouped keys Ainslie et al. 2023 (arXiv 2305.13245).
    """
    parts = parts_of(encoding, score, normalizer, mask)
    given = {kind: record.spec or "..." for kind, record in parts._asdict().items()}
    call = call or Call()
    arguments.check_acts(parts, given)
    arguments.check_arrays(query, key, value, where, bias)
    arguments.check_call(call, query, key, x)
    T, S = query.shape[-3], key.shape[-3]
    arguments.check_positions(parts, call, T, S, given)
    if dropout is not None:
        check_rate(dropout)
        if call.rng is None:
            raise ValueError("dropout draws from call.rng, which is None: give call=Call(rng=jax.random.key(...))")
    arguments.check_params(parts, {} if params is None else params, *_dims(query, key, x, parts, call), given)
    query, x = only_valid(query, call.q_valid, 2), None if x is None else only_valid(x, call.q_valid)
    key, value = (only_valid(each, call.k_valid, 2) for each in (key, value))
    options: dict[str, Any] = {"where": where, "bias": bias, "x": x, "call": call, "encoding_call": encoding_call}
    output, weights = run(
        parts, query, key, value, params=params or {}, **options, dropout=dropout, kernel=kernel, weights=return_weights
    )
    return (output, weights) if return_weights else output


def run(
    parts: Parts,
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    params: Mapping[str, Params],
    where: jax.Array | None = None,
    bias: jax.Array | None = None,
    x: jax.Array | None = None,
    call: Call,
    encoding_call: Call | None = None,
    dropout: Any = None,
    kernel: str = "auto",
    weights: bool = False,
) -> tuple[jax.Array, jax.Array | None]:
    """``attend`` for parts and arrays that have been checked: what layers and mixers call.

    Returns:
      The output ``[*B T N E]``, and the weights ``[*B N T S]`` where they are asked for.
    """
    if 0 in (*query.shape[:-1], key.shape[-3]):
        chosen(kernel, Ask(parts, (1, 1, 1, 1), weights))
        return _nothing(parts, query, key, value, weights)
    of = {kind: params.get(kind, {}) for kind in ("encoding", "score", "normalizer")}
    call = dataclasses.replace(call, packed=parts.mask.packs)
    encoding_call = encoding_call or positioned(parts.encoding, of["encoding"], call, query.shape[:-2], key.shape[:-2])
    ordered = call.q_positions is None and call.k_positions is None
    scale = 1.0 / math.sqrt(parts.encoding.terms * query.shape[-1]) if parts.score.scaled else 1.0
    encoding_call = dataclasses.replace(encoding_call, packed=call.packed)
    call, encoding_call = (completed(each, query.shape[-3], key.shape[-3], scale) for each in (call, encoding_call))
    call = dataclasses.replace(call, k_last=last_key(call, key.shape[-3]))  # before kernels cut the keys

    if parts.normalizer.qk is not None:
        query, key = parts.normalizer.qk(of["normalizer"], query, key, call)
    groups, maps = query.shape[-2] // key.shape[-2], parts.normalizer.maps
    if maps > 1:
        value = _side_by_side(value, maps)
    if groups > 1:
        key, value = (jnp.repeat(each, groups, axis=-2) for each in (key, value))
    *batch, T, N, _ = query.shape
    runs = chosen(kernel, Ask(parts, (*batch, N, T, key.shape[-3]), weights, ordered)).kernel
    problem = Problem(query, key, value, (), (), (), where, bias, call, encoding_call, of, dropout, parts, ordered)
    if runs.plan is not None:
        problem = runs.plan(problem)  # before anything is prepared for keys that follow each other
        encoding_call = problem.encoding_call

    if parts.encoding.prepare is not None:
        q_features, k_features, rest = parts.encoding.prepare(of["encoding"], x, query, key, encoding_call)
        problem = problem._replace(q_features=q_features, k_features=k_features, rest=rest)
    if parts.score.project is not None:
        query, key = parts.score.project(of["score"], query, key, call)
    if parts.encoding.rotate is not None:
        query, key = parts.encoding.rotate(of["encoding"], query, key, encoding_call)
    output, found = runs.run(problem._replace(query=query, key=key))
    if parts.normalizer.finish is not None:
        output = parts.normalizer.finish(of["normalizer"], output, x, call)
    return _one_after_another(output, maps), found if weights else None


def positioned(encoding: Encoding, params: Params, call: Call, q_tokens: tuple[int, ...], k_tokens: tuple[int, ...]) -> Call:
    """The call as the encoding's ``positions`` leaves it, told how many tokens there are, ``[*B T]`` and ``[*B S]``."""
    if encoding.positions is None:
        return call
    told = lambda valid, tokens: jnp.ones(tokens, jnp.bool_) if valid is None else valid
    whole = dataclasses.replace(call, q_valid=told(call.q_valid, q_tokens), k_valid=told(call.k_valid, k_tokens))
    moved = encoding.positions(params, whole)
    return dataclasses.replace(call, q_positions=moved.q_positions, k_positions=moved.k_positions)


def reads(parts: Parts) -> tuple[str, ...]:
    """Which of "query" and "key" the parts read: what the score does, or both where encoding or normalizer may."""
    both = parts.encoding.prepare is not None or parts.normalizer.qk is not None
    return ("query", "key") if both else parts.score.uses


def _dims(query: jax.Array, key: jax.Array, x: jax.Array | None, parts: Parts, call: Call) -> tuple[Dims, frozenset[str]]:
    """The sizes of a layer whose queries and keys these are, and the names of those that nobody said."""
    N, H = (max(size, 1) for size in query.shape[-2:])
    lengths = [size for size in (query.shape[-3], key.shape[-3]) if isinstance(size, int)]  # jax.export may leave them open
    longest, width = call.max_length or max(lengths, default=1), N * H if x is None else x.shape[-1]
    dims = Dims(N, max(key.shape[-2], 1), H, width, layer=call.layer, max_length=longest, causal=parts.mask.causal)
    guessed = {"max_length": True, "model_dim": x is None, "num_heads": query.shape[-2] == 0, "kv_heads": key.shape[-2] == 0}
    return dims, frozenset(field for field, is_guess in guessed.items() if is_guess)


def completed(call: Call, T: int, S: int, scale: float = 1.0) -> Call:
    """The call as hooks of attention get it: with positions filled in and the scale of the score."""

    def filled(positions, length):
        here = lambda leaf: jnp.arange(length) if leaf is None else leaf
        return jax.tree.map(here, positions, is_leaf=lambda leaf: leaf is None)

    counted = lambda leaf: leaf is None
    consecutive = call.q_positions is None and call.k_positions is None
    if isinstance(call.q_positions, tuple) and isinstance(call.k_positions, tuple):
        consecutive = tuple(counted(q) and counted(k) for q, k in zip(call.q_positions, call.k_positions))
    return dataclasses.replace(
        call,
        q_positions=filled(call.q_positions, T),
        k_positions=filled(call.k_positions, S),
        scale=scale,
        consecutive=consecutive,
    )


def _nothing(parts: Parts, query: jax.Array, key: jax.Array, value: jax.Array, weights: bool) -> tuple[jax.Array, Any]:
    """Output and weights of no queries, or of queries without keys."""
    *batch, T, N, _ = query.shape
    found = jnp.zeros((*batch, N // parts.normalizer.maps, T, key.shape[-3]), jnp.float32) if weights else None
    return jnp.zeros((*batch, T, N, value.shape[-1]), value.dtype), found


def _one_after_another(output: jax.Array, maps: int) -> jax.Array:
    """The output ``[*B T N E]`` of ``[*B T N/maps maps·E]``, what ``_side_by_side`` does undone."""
    *rest, heads, width = output.shape
    return output.reshape(*rest, heads, maps, width // maps).reshape(*rest, heads * maps, width // maps)


def _side_by_side(value: jax.Array, maps: int) -> jax.Array:
    """The values ``[*B S K/maps maps·H]`` of heads with several score maps each, in steps that keep how axes are split."""
    *rest, K, H = value.shape
    if K % maps:
        raise ValueError(f"a normalizer with {maps} score maps per head wants a multiple of {maps} key heads, got {K}")
    return value.reshape(*rest, K // maps, maps, H).reshape(*rest, K // maps, maps * H)

"""The fused attention of NVIDIA's cuDNN, as JAX calls it: no scores in memory, forward or backward.

It knows softmax of scaled products in bfloat16, causal masks and windows of them, the lengths of texts, and a dense bias, which
takes the memory of the scores in bfloat16. Everything else is refused. Never chosen by ``auto``: nothing has been measured.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from attention.kernels import Ask, Given, Kernel, Problem, allowed
from attention.messages import listed

__all__: list[str] = []

IMPLEMENTATION = "cudnn"
LARGEST_HEAD = 128  # of all its GPUs; Hopper's can do with 256
MAPPED_SINCE = (0, 11, 1)  # the version of JAX from which its call can be mapped over with every argument


def build() -> Kernel:
    """Serves plain softmax in bfloat16 on a GPU; a query that may attend to nothing gets zeros."""
    return Kernel(serves=_serves, run=_run)


def _serves(ask: Ask, device: str) -> str | None:
    if device not in ("gpu", "cuda"):
        return f"it is of NVIDIA GPUs, and this is for {device}"
    encoding, score, normalizer, mask = ask.parts
    reasons = {
        "it never holds the weights; ask for them with kernel=dense or auto": ask.weights,
        f"the score is more than a scaled product: {score.spec}": score.factors is None or score.project is not None,
        f"the normalizer is no plain softmax: {normalizer.spec}": not normalizer.plain,
        f"the encoding does more to scores than to add a bias: {encoding.spec}": any(
            hook is not None for hook in (encoding.modify, encoding.where, encoding.values)
        ),
        f"the mask is no causal one, no window of it, and not full: {mask.spec}": not _known(mask.band),
    }
    reason = next((reason for reason, holds in reasons.items() if holds), None)
    return reason or (None if ask.given is None else _refused(ask, ask.given))


def _known(band: Any) -> bool:
    return band is not None and (band == (None, None) or band[1] == 0)


def _refused(ask: Ask, given: Given) -> str | None:
    """Why not these arrays."""
    (T, S), (H, E) = ask.scores[-2:], given.sizes
    masked = ask.parts.mask.band != (None, None)
    dense = ask.parts.encoding.bias is not None or "bias" in given.arrays or "where" in given.arrays
    kinds = sorted({jnp.dtype(dtype).name for dtype in given.dtypes})
    reasons = {
        f"it computes in bfloat16, and got {listed(kinds)}: config.model.compute_dtype=bfloat16": kinds != ["bfloat16"],
        f"heads want a multiple of 8 channels up to {LARGEST_HEAD}, got {H}": H % 8 != 0 or H > LARGEST_HEAD,
        f"values want as many channels as keys, {H}, got {E}": H != E,
        "it does not drop weights; leave out dropout": given.dropout,
        "masks go by positions 0, 1, ..., and others are given": masked and not given.ordered,
        f"masks want as many queries as keys, got {T} and {S}": masked and T != S,
        f"a bias wants even numbers of queries and keys, got {T} and {S}": dense and (T % 2 != 0 or S % 2 != 0),
        "padding wants to stand at the end of each text, and nobody says so (Call.prefix)": "valid" in given.arrays
        and not given.prefix,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _run(problem: Problem) -> tuple[jax.Array, None]:
    """Output ``[*B T N H]``; the weights are never held, so None stands in their place."""
    parts, call = problem.parts, problem.call
    assert parts.score.factors is not None
    assert parts.mask.band is not None
    query, key = parts.score.factors(problem.params["score"], problem.query, problem.key, call)
    (*batch, T, N, _), S, (before, after) = query.shape, key.shape[-3], parts.mask.band
    flat = lambda x: x.reshape(-1, *x.shape[len(batch) :])
    bias, where = _dense(problem)
    options: dict[str, Any] = {"is_causal": after == 0}
    if before is not None:
        options["local_window_size"] = (before, 0)
    empty = None if where is None else ~jnp.any(jnp.broadcast_to(_every(problem), (*batch, N, T, S)), axis=-1)
    if call.k_valid is not None:
        lengths = jnp.broadcast_to(jnp.sum(call.k_valid, axis=-1, dtype=jnp.int32), batch)
        ends = lengths if before is None else lengths + before  # the first query that sees no token of the text
        none = (lengths == 0)[..., None] | (before is not None and jnp.arange(T) >= ends[..., None])
        none = jnp.broadcast_to(none, (*batch, T))[..., None, :]
        empty = none if empty is None else empty | none
        lengths = jnp.maximum(lengths, 1)  # what it makes of rows without a key, and of their gradients, is not said anywhere
        options["key_value_seq_lengths"] = lengths.reshape(-1)
        if before is not None:
            options["query_seq_lengths"] = jnp.minimum(lengths + before, T).reshape(-1)
    spread = lambda x: None if x is None else flat(jnp.broadcast_to(x, (*_leading(x, batch), *x.shape[-3:-2], T, S)))
    given = (flat(_unmapped(query)), flat(key), flat(problem.value), spread(bias), spread(where))
    output = jax.nn.dot_product_attention(*given, scale=1.0, implementation=IMPLEMENTATION, **options)
    output = output.reshape(problem.value.shape[:-3] + output.shape[1:])
    return output if empty is None else jnp.where(jnp.swapaxes(empty, -1, -2)[..., None], 0, output), None


def _leading(x: jax.Array, batch: list[int]) -> list[int]:
    """The examples of a bias or mask: all of them where it has any, else one."""
    return batch if any(size > 1 for size in x.shape[:-3]) else [1] * len(batch)


def _dense(problem: Problem) -> tuple[jax.Array | None, jax.Array | None]:
    """The bias in the type of the queries, and what is allowed beside mask and lengths; None where there is none."""
    encoding, prepared = problem.parts.encoding, (problem.q_features, problem.k_features, problem.rest)
    own = None if encoding.bias is None else encoding.bias(problem.params["encoding"], *prepared, problem.encoding_call)
    given, where = problem.bias, problem.where
    if given is not None:
        open_ = given != -jnp.inf
        where, given = open_ if where is None else where & open_, jnp.where(open_, given, 0.0)
    biases = [bias for bias in (own, given) if bias is not None]
    return (sum(biases[1:], biases[0]).astype(problem.query.dtype) if biases else None), where


def _every(problem: Problem) -> jax.Array:
    mask = allowed(problem)
    assert mask is not None
    return mask


# ---- before MAPPED_SINCE, JAX's call mapped over goes wrong where one of its arguments is the same for all

_unmapped_p = Primitive("attention_by_cudnn")
_unmapped_p.def_impl(lambda x: x)
_unmapped_p.def_abstract_eval(lambda x: x)
ad.deflinear2(_unmapped_p, lambda cotangent, _: [cotangent])
mlir.register_lowering(_unmapped_p, lambda _, x: [x])


def _refuse_mapped(arrays: Any, axes: Any) -> Any:
    since = ".".join(map(str, MAPPED_SINCE))
    raise ValueError(f"kernel=cudnn: with jax before {since} it cannot be mapped over; give config.cohort.axis=map")


batching.primitive_batchers[_unmapped_p] = _refuse_mapped


def _unmapped(x: jax.Array) -> jax.Array:
    return x if jax.__version_info__ >= MAPPED_SINCE else _unmapped_p.bind(x)

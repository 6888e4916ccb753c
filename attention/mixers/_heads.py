"""What mixers share: projections into heads and out of them, attention between, and what is done to padding."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from attention.attend import run
from attention.broadcast import by_token
from attention.records import Call, Context, Dims, Mixer, Params


def init_heads(rng: jax.Array, dims: Dims, names: tuple[str, ...] = ("query", "key", "value", "output"), bias: bool = True):
    """Projections ``[D N H]`` of queries, ``[D K H]`` of keys and values and ``[N H D]`` of the output, with biases on request.

    Which of them there are does not change how the others start.
    """
    D, N, K, H = dims.model_dim, dims.num_heads, dims.kv_heads, dims.head_dim
    into = jax.nn.initializers.lecun_normal(in_axis=0, out_axis=(1, 2))
    out_of = jax.nn.initializers.lecun_normal(in_axis=(0, 1), out_axis=2)
    heads = {"query": (N, H), "key": (K, H), "value": (K, H)}
    rngs = dict(zip((*heads, "output"), jax.random.split(rng, 5)))  # the fifth is of the gate of `attention`
    params: dict[str, Params] = {}
    for name in names:
        kernel = out_of(rngs[name], (N, H, D)) if name == "output" else into(rngs[name], (D, *heads[name]))
        params[name] = {"kernel": kernel}
        if bias:
            params[name]["bias"] = jnp.zeros(D if name == "output" else heads[name])
    return params


def project(layer: Params, x: jax.Array) -> jax.Array:
    """A linear layer ``[*B T D]`` to ``[*B T N H]``, with its bias where it has one, in the type of ``x``."""
    return _linear(layer, x, layer["kernel"].shape[1:])


def merge(layer: Params, heads: jax.Array) -> jax.Array:
    """The output projection, ``[*B T N H]`` to ``[*B T D]``."""
    *lead, N, H = heads.shape
    return _linear(layer, heads.reshape(*lead, N * H), layer["kernel"].shape[2:])


def _linear(layer: Params, x: jax.Array, into: tuple[int, ...]) -> jax.Array:
    """As one product of two axes each."""
    kernel = layer["kernel"].reshape(x.shape[-1], -1).astype(x.dtype)
    bias = layer["bias"].reshape(-1).astype(x.dtype) if "bias" in layer else None
    y = by_token(lambda x: x @ kernel if bias is None else x @ kernel + bias, x)
    return y.reshape(*x.shape[:-1], *into)


def triple(params: Params, x: jax.Array, context: Context) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Queries of ``x``, keys and values of the memory, or of ``x`` where there is none: each ``[*B T N H]``."""
    source = x if context.memory is None else context.memory
    return project(params["query"], x), project(params["key"], source), project(params["value"], source)


def mixer_of_heads(
    attend: Callable[..., jax.Array], heads: int, head_dim: int | None, bias: bool, *, uses: tuple[str, ...] = (), **facts: Any
) -> Mixer:
    """Projections around ``attend(query, key, value, context, call) -> [*B T N H]``, which has no weights and no kernel."""
    return Mixer(
        apply=lambda params, x, context, call: merge(params["output"], attend(*triple(params, x, context), context, call)),
        init=lambda rng, dims: init_heads(rng, dims, bias=bias),
        num_heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        uses=uses,
        attends=False,
        **facts,
    )


def without_padding(x: jax.Array, where: jax.Array | None, fill: float = 0.0) -> jax.Array:
    """``[*B T N H]`` with ``fill`` at the tokens that do not count: whatever stood there is gone, with its gradient."""
    return x if where is None else jnp.where(where[..., None, None], x, fill)


def self_only(context: Context) -> None:
    """Refuses cross-attention. Raises ValueError."""
    if context.memory is not None:
        raise ValueError("this mixer mixes a sequence with itself; it cannot read a memory")


def check_heads(heads: int, kv_heads: int | None = None, **others: int | None) -> None:
    """Refuses counts below 1, and key heads that do not divide the others. Raises ValueError."""
    for option, count in {"heads": heads, "kv_heads": kv_heads, **others}.items():
        if count is not None and count < 1:
            raise ValueError(f"{option} must be >= 1, got {count}")
    if kv_heads is not None and heads % kv_heads:
        raise ValueError(f"kv_heads must divide heads, got {kv_heads} and {heads}")


def is_causal(context: Context) -> bool:
    """Whether the mask is causal; refuses one over a memory, whose tokens have no place among the others'."""
    causal = context.parts.mask.causal
    if causal and context.memory is not None:
        raise ValueError("the causal form goes by the order of one sequence; it cannot read a memory")
    return causal


def check_causal(T: int, S: int) -> None:
    """Refuses a causal form whose queries are not the keys. Raises ValueError."""
    if T != S:
        raise ValueError(f"the causal form wants as many keys as queries, got {S} and {T}")


def attended(query: jax.Array, key: jax.Array, value: jax.Array, x: jax.Array, context: Context, call: Call) -> jax.Array:
    """The output ``[*B T N E]``; weights go to ``context.record`` where there is one."""
    output, weights = weighed(query, key, value, x, context, call)
    if context.record is not None:
        context.record("weights", weights)
    return output


def weighed(
    query: jax.Array, key: jax.Array, value: jax.Array, x: jax.Array, context: Context, call: Call
) -> tuple[jax.Array, Any]:
    """The output and the weights, None where nothing is recorded."""
    return run(
        context.parts,
        query,
        key,
        value,
        params=context.params,
        where=context.where,
        bias=context.bias,
        x=x,
        call=call,
        encoding_call=context.encoding_call,
        dropout=context.dropout,
        kernel=context.kernel,
        weights=context.record is not None,
    )

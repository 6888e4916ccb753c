"""Multi-head attention, made of an encoding, a score, a normalizer and a mask; kv_heads < heads shares keys (GQA, MQA)."""

import jax
import jax.numpy as jnp

from attention.attend import attend
from attention.records import Call, Context, Dims, Mixer, Params

__all__: list[str] = []


def build(heads: int = 4, kv_heads: int | None = None, head_dim: int | None = None, bias: bool = True) -> Mixer:
    """Attention with ``heads`` query heads and ``kv_heads`` key and value heads (None for as many).

    Projections ``W_Q [D N H]``, ``W_K, W_V [D K H]`` and ``W_O [N H D]``, with biases unless ``bias=False``; H is
    ``head_dim``, or D / N. Vaswani et al. 2017 (arXiv 1706.03762), Shazeer 2019 (arXiv 1911.02150), Ainslie et al. 2023
    (arXiv 2305.13245).
    """
    kv = heads if kv_heads is None else kv_heads
    for option, count in (("heads", heads), ("kv_heads", kv), ("head_dim", head_dim or 1)):
        if count < 1:
            raise ValueError(f"{option} must be >= 1, got {count}")
    if heads % kv:
        raise ValueError(f"kv_heads must divide heads, got {kv} and {heads}")

    def init(rng: jax.Array, dims: Dims) -> Params:
        D, N, K, H = dims.model_dim, dims.num_heads, dims.kv_heads, dims.head_dim
        into = jax.nn.initializers.lecun_normal(in_axis=0, out_axis=(1, 2))
        out_of = jax.nn.initializers.lecun_normal(in_axis=(0, 1), out_axis=2)
        rngs = jax.random.split(rng, 4)
        params = {
            "query": {"kernel": into(rngs[0], (D, N, H))},
            "key": {"kernel": into(rngs[1], (D, K, H))},
            "value": {"kernel": into(rngs[2], (D, K, H))},
            "output": {"kernel": out_of(rngs[3], (N, H, D))},
        }
        if bias:
            for name, shape in (("query", (N, H)), ("key", (K, H)), ("value", (K, H)), ("output", (D,))):
                params[name]["bias"] = jnp.zeros(shape)
        return params

    def project(params: Params, x: jax.Array, equation: str) -> jax.Array:
        y = jnp.einsum(equation, x, params["kernel"].astype(x.dtype))
        return y + params["bias"].astype(x.dtype) if bias else y

    def apply(params: Params, x: jax.Array, context: Context, call: Call) -> jax.Array:
        source = x if context.memory is None else context.memory
        query = project(params["query"], x, "...td,dnh->...tnh")
        key = project(params["key"], source, "...sd,dnh->...snh")
        value = project(params["value"], source, "...sd,dnh->...snh")
        output = attend(
            query,
            key,
            value,
            **context.parts._asdict(),
            params=context.params,
            x=x,
            call=call,
            encoding_call=context.encoding_call,
            dropout=context.dropout,
            kernel=context.kernel,
            return_weights=context.record is not None,
        )
        if context.record is not None:
            output, weights = output
            context.record("weights", weights)
        return project(params["output"], output, "...tnh,nhd->...td")

    return Mixer(apply=apply, init=init, num_heads=heads, kv_heads=kv, head_dim=head_dim)

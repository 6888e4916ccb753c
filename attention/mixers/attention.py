"""Multi-head attention, made of an encoding, a score, a normalizer and a mask; kv_heads < heads shares keys (GQA, MQA)."""

from typing import Literal

import jax
import jax.numpy as jnp

from attention.attend import attend
from attention.gates import output_gate
from attention.records import Call, Context, Dims, Mixer, Params

__all__: list[str] = []

OutputGate = Literal["none", "element", "head"]


def build(
    heads: int = 4, kv_heads: int | None = None, head_dim: int | None = None, bias: bool = True, gate: OutputGate = "none"
) -> Mixer:
    """Attention with ``heads`` query heads and ``kv_heads`` key and value heads (None for as many).

    Projections ``W_Q [D N H]``, ``W_K, W_V [D K H]`` and ``W_O [N H D]``, with biases unless ``bias=False``; H is
    ``head_dim``, or D / N. Vaswani et al. 2017 (arXiv 1706.03762), Shazeer 2019 (arXiv 1911.02150), Ainslie et al. 2023
    (arXiv 2305.13245).

    ``gate`` multiplies the sum of values by ``σ(x W_g)``, with x the input of the layer: a gate per ``'element'``,
    ``W_g [D N H]``, or per ``'head'``, ``[D N 1]``. Qiu et al. 2025 (arXiv 2505.06708).
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
        rngs = jax.random.split(rng, 5)
        params = {
            "query": {"kernel": into(rngs[0], (D, N, H)), "bias": jnp.zeros((N, H))},
            "key": {"kernel": into(rngs[1], (D, K, H)), "bias": jnp.zeros((K, H))},
            "value": {"kernel": into(rngs[2], (D, K, H)), "bias": jnp.zeros((K, H))},
            "output": {"kernel": out_of(rngs[3], (N, H, D)), "bias": jnp.zeros(D)},
        }
        for name in {"query", "key"} - set(dims.reads):
            del params[name]
        if not bias:
            params = {name: {"kernel": layer["kernel"]} for name, layer in params.items()}
        if gate != "none":
            params["gate"] = {"kernel": into(rngs[4], (D, N, H if gate == "element" else 1))}
        return params

    def project(params: Params, x: jax.Array, equation: str) -> jax.Array:
        y = jnp.einsum(equation, x, params["kernel"].astype(x.dtype))
        return y + params["bias"].astype(x.dtype) if bias else y

    def apply(params: Params, x: jax.Array, context: Context, call: Call) -> jax.Array:
        source = x if context.memory is None else context.memory
        value = project(params["value"], source, "...sd,dnh->...snh")
        # Where the score reads no queries or no keys, there is no projection, and zeros of their shape stand for them.
        if "query" in params:
            query = project(params["query"], x, "...td,dnh->...tnh")
        else:
            query = jnp.zeros((*x.shape[:-1], heads, value.shape[-1]), x.dtype)
        key = project(params["key"], source, "...sd,dnh->...snh") if "key" in params else jnp.zeros_like(value)
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
        if gate != "none":
            output = output_gate(output, x, params["gate"]["kernel"])
        return project(params["output"], output, "...tnh,nhd->...td")

    return Mixer(apply=apply, init=init, num_heads=heads, kv_heads=kv, head_dim=head_dim)

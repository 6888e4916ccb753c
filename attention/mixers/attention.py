r"""Multi-head attention, made of an encoding, a score, a normalizer and a mask; kv_heads < heads shares keys (GQA, MQA).

```math
a_{ij} = \mathrm{softmax}_j\Big(\frac{q_i \cdot k_j}{\sqrt H} + b_{ij}\Big),
\quad o_i = \sum_j a_{ij} v_j, \quad \text{heads joined by } W_O
```

`kv_heads` shares keys and values: query head h reads key head ⌊hK/N⌋ (not h mod K, as x-transformers does).
`talking_heads` mixes scores by P_l before the normalizer and weights by P_w after it; both start as identities. It is
served by blocks of queries with whole rows, so the chunked kernel takes it. `memory=m` puts m learned keys and values
before those of the text: every query may attend to them, whatever the mask says, a rotation leaves them where they are, and
encodings that compare positions are refused, because they have none. In cross-attention keys, values, their padding,
positions and segments are those of the memory. `projections=qkv` leaves out W_O, `projections=none` all four: states are
compared and summed as they are, as [tutorials](tutorials.md) begin.

Parameters: 4(D² + D); less with shared keys or fewer `projections`; talking heads + 2N²; memory + 2mKH; gates.
Cost in T: T²
Traps: with `memory` a text of nothing but padding still gets an output.
Source: Vaswani et al. 2017 (arXiv 1706.03762); shared keys: Shazeer 2019 (arXiv 1911.02150), Ainslie et al. 2023 (arXiv
2305.13245); talking heads: Shazeer et al. 2020 (arXiv 2003.02436); memory: Sukhbaatar et al. 2019 (arXiv 1907.01470).
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.mixers import _memory, _talking
from attention.mixers._heads import attended, check_heads, init_heads, merge, project
from attention.precision import check_floating
from attention.records import Call, Context, Dims, Mixer, Params

__all__ = ["output_gate"]

OutputGate = Literal["none", "element", "head"]
Projections = Literal["qkvo", "qkv", "none"]


def output_gate(
    output: Float[Array, "*B T N H"], x: Float[Array, "*B T D"], kernel: Float[Array, "D N #H"]
) -> Float[Array, "*B T N H"]:
    """A gate on what attention returns, ``o⊙σ(x W)``, after the sum of values and before the output projection.

    Args:
      output: ``[*B T N H]``.
      x: the input of the layer ``[*B T D]``, from which the queries are projected.
      kernel: W, ``[D N H]`` for a gate per element, ``[D N 1]`` for one per head.

    Returns:
      An array like ``output``.

    Example:
      >>> attention.output_gate(jnp.ones((1, 1, 2)), jnp.ones((1, 3)), jnp.zeros((3, 1, 1)))
      [[[0.5, 0.5]]]

    Source: Qiu et al. 2025 (arXiv 2505.06708), the gate after the sum of values; Bondarenko et al. 2023 (arXiv 2306.12929).
    """
    check_floating(output, x)
    return output * jax.nn.sigmoid(jnp.einsum("...td,dng->...tng", x, kernel.astype(x.dtype))).astype(output.dtype)


def build(
    heads: int = 4,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    bias: bool = True,
    gate: OutputGate = "none",
    talking_heads: bool = False,
    memory: int = 0,
    projections: Projections = "qkvo",
) -> Mixer:
    """Attention with ``heads`` query heads and ``kv_heads`` key and value heads (None for as many).

    Projections ``W_Q [D N H]``, ``W_K, W_V [D K H]`` and ``W_O [N H D]``, with biases unless ``bias=False``; H is
    ``head_dim``, or D / N. Vaswani et al. 2017 (arXiv 1706.03762), Shazeer 2019 (arXiv 1911.02150), Ainslie et al. 2023
    (arXiv 2305.13245). Where a memory is given (cross-attention), keys and values are made of it.

    ``gate`` multiplies the sum of values by ``σ(x W_g)``, with x the input of the layer: a gate per ``'element'``,
    ``W_g [D N H]``, or per ``'head'``, ``[D N 1]``. Qiu et al. 2025 (arXiv 2505.06708).

    ``talking_heads`` mixes scores across heads by ``P_l [N N]`` and weights by ``P_w [N N]``, identities at the start.
    Shazeer et al. 2020 (arXiv 2003.02436).

    ``memory`` is a number m of learned keys and values ``[m K H]`` beside those of the text, which every query may attend to;
    blocks are not skipped then. Sukhbaatar et al. 2019 (arXiv 1907.01470), without their scaling of the start.

    ``projections`` says which there are: ``'qkv'`` leaves out W_O, and heads stand side by side as they are; ``'none'`` leaves
    out all, so that queries, keys and values are the states themselves, cut into heads. Both want heads D wide together.
    """
    kv = heads if kv_heads is None else kv_heads
    check_heads(heads, kv, head_dim=head_dim)
    if projections == "none" and kv != heads:
        raise ValueError(f"projections=none has as many key heads as query heads, got {kv} and {heads}")
    if memory < 0:
        raise ValueError(f"memory must be >= 0, got {memory}")

    def init(rng: jax.Array, dims: Dims) -> Params:
        if projections != "qkvo" and heads * dims.head_dim != dims.model_dim:
            raise ValueError(
                f"projections={projections} wants heads as wide as the model together, got {heads} of {dims.head_dim} for "
                f"{dims.model_dim}"
            )
        names = [name for name in ("query", "key") if name in dims.reads]
        names = {"qkvo": [*names, "value", "output"], "qkv": [*names, "value"], "none": []}[projections]
        params = init_heads(rng, dims, tuple(names), bias)
        if gate != "none":
            into = jax.nn.initializers.lecun_normal(in_axis=0, out_axis=(1, 2))
            shape = (dims.model_dim, heads, dims.head_dim if gate == "element" else 1)
            params["gate"] = {"kernel": into(jax.random.split(rng, 5)[4], shape)}
        if talking_heads:
            params["talking"] = _talking.init_talking(heads)
        if memory:
            params["memory"] = _memory.init_memory(jax.random.fold_in(rng, 1), dims, memory)
        return params

    def cut(x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)

    def remember(params: Params, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Keys and values. Where the score reads no keys there is no projection, and zeros of their shape stand for them."""
        value = cut(x) if projections == "none" else project(params["value"], x)
        if "key" in params:
            return project(params["key"], x), value
        return cut(x) if projections == "none" else jnp.zeros_like(value), value

    def queries(params: Params, x: jax.Array, width: int) -> jax.Array:
        if "query" in params:
            return project(params["query"], x)
        return cut(x) if projections == "none" else jnp.zeros((*x.shape[:-1], heads, width), x.dtype)

    def apply(params: Params, x: jax.Array, context: Context, call: Call) -> jax.Array:
        source = x if context.memory is None else context.memory
        key, value = remember(params, source) if context.remembered is None else context.remembered
        query = queries(params, x, value.shape[-1])
        if talking_heads:
            context = _talking.with_talking(context, params["talking"])
        if memory:
            key, value, context, call = _memory.with_memory(key, value, params["memory"], query.shape[-3], context, call)
        output = attended(query, key, value, x, context, call)
        if gate != "none":
            output = output_gate(output, x, params["gate"]["kernel"])
        return merge(params["output"], output) if projections == "qkvo" else output.reshape(x.shape)

    def refuses(parts):
        if talking_heads and parts.normalizer.maps > 1:
            return "normalizer", "talking_heads mixes heads, and this normalizer joins them"
        return _memory.refused(parts) if memory else None

    facts = {"num_heads": heads, "kv_heads": kv, "head_dim": head_dim}
    return Mixer(apply=apply, init=init, **facts, refuses=refuses, remember=remember)

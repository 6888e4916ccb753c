r"""An encoding in most layers, and none in the others: every so many layers one sees no positions.

```math
\text{layer } \ell: \texttt{inner}, \text{ unless } \ell \bmod (n + 1) = n, \text{ then none}
```

Parameters: those of `inner`, by default `rope`, in its layers; `layers` is n = 3. The figure has layers 0 to 7.
Claim: layers without positions retrieve at any distance, those with them keep the order: better long contexts than either
alone. Llama 4 has n = 3.
Traps: models with at most n layers never reach the one without. The paper also limits the window of the layers with
`rope`, which is a mask's to do. Codes for embeddings are refused: they are given once. So is an encoding with another
scale.
Source: Yang et al. 2025 (arXiv 2501.18795).
Family: Around another
"""

from typing import Any

from attention.encodings._wrapper import wrap
from attention.records import Encoding

__all__: list[str] = []

# What takes a hook's place in a layer without positions.
IDLE = {
    "prepare": lambda params, x, query, key, call: ((), (), ()),
    "rotate": lambda params, query, key, call: (query, key),
    "bias": lambda *given: None,
    "modify": lambda params, scores, *given: scores,
    "where": lambda *given: None,
    "values": lambda *given: None,
}


def build(inner: Encoding | str = "rope", layers: int = 3) -> Encoding:
    """``inner`` in the first ``layers`` of every ``layers`` + 1 layers, and no positions in the last.

    What ``inner`` does to the embeddings it does once, as ever. Yang et al. 2025 (arXiv 2501.18795) with ``inner=rope``, k of
    k + 1 layers; Llama 4 has layers = 3.
    """
    assert isinstance(inner, Encoding)
    if layers < 1:
        raise ValueError(f"layers must be >= 1, got {layers}")
    if inner.rotate is None and not inner.on_scores:
        raise ValueError("every chooses layers, and the encoding inside acts on the embeddings alone")
    if inner.terms > 1:
        raise ValueError(f"every cannot hold an encoding of {inner.terms} terms: layers without it would want another scale")
    bare = lambda layer: layer % (layers + 1) == layers

    def scheduled(name: str, hook: Any) -> Any:
        return lambda params, *given: (IDLE[name] if bare(given[-1].layer) else hook)(params, *given)

    def init(rng, dims):
        assert inner.init is not None
        return {} if bare(dims.layer) else inner.init(rng, dims)

    hooks = {name: scheduled(name, hook) for name in IDLE if (hook := getattr(inner, name)) is not None}
    return wrap(inner._replace(**hooks, init=None if inner.init is None else init))

"""An encoding in most layers, and none in the others: every so many layers one sees no positions."""

from typing import Any

from attention.encodings._wrapper import DEFAULTS, wrap
from attention.records import Encoding

__all__: list[str] = []

IN_LAYERS = ("prepare", "rotate", "bias", "modify", "where", "values")


def build(inner: Encoding | str = "rope", layers: int = 3) -> Encoding:
    """``inner`` in the first ``layers`` of every ``layers`` + 1 layers, and no positions in the last.

    What ``inner`` does to the embeddings it does once, as ever. Yang et al. 2025 (arXiv 2501.18795) with ``inner=rope``, k of
    k + 1 layers; Llama 4 has layers = 3.
    """
    assert isinstance(inner, Encoding)
    if layers < 1:
        raise ValueError(f"layers must be >= 1, got {layers}")
    if not inner.rotates and inner.reads == "nothing":
        raise ValueError("every chooses layers, and the encoding inside acts on the embeddings alone")
    if inner.terms > 1:
        raise ValueError(f"every cannot hold an encoding of {inner.terms} terms: layers without it would want another scale")
    bare = lambda layer: layer is not None and layer % (layers + 1) == layers

    def scheduled(name: str) -> Any:
        acts, idle = getattr(inner, name), DEFAULTS[name]
        return acts if acts is idle else lambda params, *given: (idle if bare(given[-1].layer) else acts)(params, *given)

    def init(rng, dims):
        return {} if bare(dims.layer) else inner.init(rng, dims)

    return wrap(inner._replace(init=init, **{name: scheduled(name) for name in IN_LAYERS}))

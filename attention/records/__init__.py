"""The records of the kinds: named tuples of pure functions, plus facts about the method.

Axes: ``B`` batch (any number of leading axes), ``T`` query length, ``S`` key length, ``N`` heads, ``K`` key/value heads,
``H`` head dim, ``D`` model dim, ``V`` vocabulary. Queries, keys and values are ``[*B T N H]``; scores and weights
``[*B N T S]``; masks and biases ``[*#B #N #T #S]``. Hooks may be asked for any block ``[t s]`` of the scores.

A hook that a variant does not have is None, and so is ``init`` where there are no parameters. ``init(rng, dims)`` makes what a
layer owns, and ``shared(rng, dims)``, of encodings, what all layers of a stack share; hooks get one dict of both (``merged``).
Claims are what only documentation and tests read.

A record that ``build`` made knows its ``spec``, by which it is pickled.
"""

from attention.records.call import Call, Dims, Params, merged
from attention.records.layers import Context, Gate, Mixer, Pooled, Pooling
from attention.records.parts import (
    Encoding,
    EncodingClaims,
    Mask,
    Normalizer,
    NormalizerClaims,
    Parts,
    Reads,
    Score,
    Streaming,
    most,
)

__all__ = [
    "Call",
    "Context",
    "Dims",
    "Encoding",
    "EncodingClaims",
    "Gate",
    "Mask",
    "Mixer",
    "Normalizer",
    "NormalizerClaims",
    "Params",
    "Parts",
    "Pooled",
    "Pooling",
    "Reads",
    "Score",
    "Streaming",
    "merged",
    "most",
]

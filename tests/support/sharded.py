"""Every part as a function of parameters and arrays that begin with examples, to be split over a mesh."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of, run
from attention.records import Call
from tests.support import mixers, models, poolings
from tests.support.helpers import DIMS, init, normal
from tests.support.rows import rows

B, T = 4, 6
VALID = np.arange(T) < np.array([[6], [3], [1], [0]])


def _part(kind, row):
    """Attention in training, after `embed` where there is such."""
    record = attention.build(kind, row.spec if kind == "encoding" else row.evidence.cases[0].spec)
    causal = getattr(record, "needs_causal", False) or getattr(row.evidence, "mask", "full") == "causal"
    parts = parts_of(**{kind: record, "mask": "causal" if causal else "full"})
    own = init(record) if record.init is not None or getattr(record, "shared", None) is not None else {}

    def attend(own, query, key, x, valid):
        call = Call(q_valid=valid, k_valid=valid, max_length=DIMS.max_length, rng=jax.random.key(0), train=True)
        if (embed := getattr(record, "embed", None)) is not None:
            moved = call if record.positions is None else record.positions(own, call)
            x = embed(own, x, jnp.ones_like(x[..., 0], jnp.int32), moved)
        output, _ = run(parts, query, key, key, params={kind: own}, x=x, call=call, kernel="dense")
        return jnp.sum(output, (1, 2, 3)) + jnp.sum(x, (1, 2))

    return attend, own, (normal(0, B, T, 4, 8), normal(1, B, T, 2, 8), normal(2, B, T, DIMS.model_dim), VALID)


def _mixer(row):
    """Under every mask it has."""
    case = row.evidence.cases[0]
    layers = [mixers.layer(case.spec, mask, case.encoding) for mask in case.masks]
    both = lambda own, x, valid: sum(layer(own, x, valid) for layer in layers)
    return both, mixers.made(case.spec)[2], (normal(0, B, T, mixers.D), VALID)


def _pooling(row):
    record = attention.build("pooling", row.spec)
    pool = lambda own, x, valid: record.apply(own, x, Call(q_valid=valid)).x
    return pool, init(record, poolings.DIMS), (normal(0, B, T, poolings.D), VALID)


def _encoder(row):
    model, params, _ = models.made(encoder=row.spec)
    tokens, segments = np.ones((B, T), np.int32), np.broadcast_to(np.arange(T, dtype=np.int32) // 2, (B, T))
    logits = lambda own, tokens, valid, segments: model.apply({"params": own}, tokens, valid, segments=segments)[0]
    return logits, params, (tokens, VALID, segments)


def case(kind, name):
    """The function, its parameters, and its arrays."""
    row = rows(kind)[name]
    made = {"mixer": _mixer, "pooling": _pooling, "encoder": _encoder}
    return made[kind](row) if kind in made else _part(kind, row)


KINDS = ("encoding", "score", "normalizer", "mixer", "pooling", "encoder")
ALL = [(kind, name) for kind in KINDS for name in rows(kind)]

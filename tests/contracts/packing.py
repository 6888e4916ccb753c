"""What every part of a causal model promises of rows that pack documents: each one's states are what it gets alone."""

import numpy as np
import pytest

from attention.mixers import _features
from tests.support import packing
from tests.support.helpers import normal
from tests.support.packing import D, Rows, alone, packed, spans, states, states_and_gradient
from tests.support.rows import cases

DEEP = {"encoder": "transformer(layers=1, mlp=1)"}


def _parts(kind, case):
    """The parts of a model in which a case does what it does."""
    if kind == "mixer":
        return {"mixer": case.spec, "encoding": case.encoding}
    if kind == "mask":
        return {"mask": f"causal & document & {case.spec}"}
    return {kind: case.spec, **(DEEP if kind == "gate" else {})}


def _title(parts):
    return " | ".join(spec for spec in parts.values() if spec not in ("none", *DEEP.values())) or "none"


def _taken(parts, packs):
    """Whether a causal model takes the parts, and where ``packs``, one whose rows hold several documents."""
    try:
        _, records, _ = packing.made(packs, **({} if packs else {"mask": "causal"}) | parts)
    except ValueError:
        return False
    return records.encoding.depth == 0  # else it wants a block, and is among those below


# The first case of each variant that a causal model takes, and others of what counts, sums or scales in a way of its own.
KINDS = ("encoding", "normalizer", "score", "gate", "mixer", "mask", "encoder")
FIRST = {kind: {name: case for name, case in reversed(cases(kind).values())} for kind in KINDS}
FOUND = [_parts(kind, case) for kind, first in FIRST.items() for case in first.values()]
CAUSAL = {_title(parts): parts for parts in FOUND if _taken(parts, packs=False)}
CASES = {title: parts for title, parts in CAUSAL.items() if _taken(parts, packs=True)}
MORE = [
    {"encoding": "cape + fox"},
    {"encoding": "cope(max_position=4, direction=both)"},
    {"encoding": "cpe(width=5, causal=True)", **DEEP},
    {"encoding": "fire(width=5, threshold=3.0, bidirectional=False)"},
    {"encoding": "index(normalize=True)"},
    {"encoding": "rope(scaling=dynamic_ntk, factor=2.0, train_length=3)"},
    {"mask": "document", "encoding": "cpe", **DEEP},
    {"mask": "document", "encoding": "fox(direction=both)"},
    {"mixer": "aft(form=simple)"},
    {"mixer": "attention(heads=2, kv_heads=1, memory=3)"},
    {"mixer": "attention(heads=2, talking_heads=True)"},
    {"mixer": "cosformer(heads=2, length=24)"},
    {"mixer": "linear(heads=2)", "encoding": "rope"},
    {"normalizer": "stick_breaking(remainder=self)"},
]
CASES |= {_title(parts): parts for parts in MORE}
every = pytest.mark.parametrize("parts", [pytest.param(parts, id=title) for title, parts in CASES.items()])
# What sums, counts or looks along a row, and so has a form of its own for several documents.
APART = [
    *(parts for parts in MORE if "mask" not in parts and "normalizer" not in parts),
    *(
        CASES[title]
        for title in (
            "aft",
            "cope(max_position=8)",
            "fire(width=5, threshold=26.0)",
            "fox",
            "linear(heads=2)",
            "performer(heads=2, features=6)",
        )
    ),
]
apart = pytest.mark.parametrize("parts", [pytest.param(parts, id=_title(parts)) for parts in APART])

# Padding stands between documents too, in the segment of another one.
ROWS, T = [[5, 1, -2, 7, 3]], 20


def test_who_packs():
    """All that a causal model takes, but what goes by the number of tokens of a row."""
    assert len(CAUSAL) > 100
    refused = {"causal & document & bigbird(block=2, random_blocks=2, seed=3)", "bigbird(heads=2, block=2, random_blocks=0)"}
    assert set(CAUSAL) - set(CASES) == refused


REFUSED = {
    "encoder=transformer.registers=2. cannot have several documents in a row: only": {"encoder": "transformer(registers=2)"},
    "encoding=randomized cannot have .*: it draws as many positions": {"encoding": "randomized"},
    "encoding=sinusoidal . randomized.inner=alibi. cannot": {"encoding": "sinusoidal + randomized(inner=alibi)"},
    "encoding=every.inner=randomized. cannot": {"encoding": "every(inner=randomized)"},
    "mask=causal & document & bigbird cannot": {"mask": "causal & document & bigbird"},
    "mask=document & longformer.last=1. cannot have .*: its last positions": {"mask": "document & longformer(last=1)"},
    "mixer=bigbird.heads=2. cannot have .*: its last block": {"mixer": "bigbird(heads=2)"},
    "several documents in a row want mask='causal & document', got mask=causal": {"mask": "causal"},
}  # fmt: skip


@pytest.mark.parametrize(("message", "parts"), REFUSED.items(), ids=[_title(parts) for parts in REFUSED.values()])
def test_refused(message, parts):
    """By name, with the reason, in one line."""
    packing.made(**parts, packs=False)  # which makes a model that has one document a row
    with pytest.raises(ValueError, match=message) as caught:
        packing.made(**parts)
    assert "\n" not in str(caught.value)


def _rows(x, rows, length=T, seed=0):
    """The packed rows above those of each document alone, as embeddings and as what is told of them."""
    told = packed(rows, length, seed)
    apart = Rows(*(alone(rows, array) for array in told))
    apart = apart._replace(segments=np.where(apart.valid, 4, 1).astype(np.int32))
    return np.concatenate([x, alone(rows, x, 50.0)]), Rows(*map(np.concatenate, zip(told, apart)))


def _check(found, rows, tolerance=1e-5):
    """The states of packed rows, which stand first, are those of the documents alone, and nothing is lost to a neighbour."""
    wanted = found[len(rows) :]
    for (row, _, here), mine in zip(spans(rows), wanted):
        np.testing.assert_allclose(found[row, here], mine[: here.stop - here.start], rtol=tolerance, atol=tolerance)
    assert np.isfinite(wanted[:, 0]).all()


@every
def test_alone(parts):
    """By value and gradient, beside a document of larger embeddings; what others get gives a document no gradient."""
    x = np.array(normal(1, 1, T, D))
    x[0, :5] *= 6.0
    both, told = _rows(x, ROWS)
    third, upstream = spans(ROWS)[2][2], np.zeros_like(both)
    upstream[3, :7] = upstream[0, third] = normal(2, 7, D)
    found, gradient = states_and_gradient(both, told, upstream, **parts)
    _check(found, ROWS)
    np.testing.assert_allclose(gradient[0, third], gradient[3, :7], rtol=1e-4, atol=1e-5)
    assert np.abs(gradient[3, :7]).max() > 1e-4
    np.testing.assert_array_equal(np.delete(gradient[0], np.r_[third], axis=0), 0)


def _drawn(count, length, seed):
    """Rows of documents of any length, with padding at the end or none, and now and then between."""
    draw, found = np.random.default_rng(seed), []
    for _ in range(count):
        lengths, left = [], int(length - draw.integers(0, 4))
        while left:
            size = int(min(left, draw.choice([1, 1, 2, 3, 5, 8, 13])))
            lengths.append(-size if draw.random() < 0.1 else size)
            left -= size
        found.append(lengths if max(lengths) > 0 else [length])
    return found


@apart
def test_any_rows(parts, monkeypatch):
    """30 of them, in chunks whose borders fall anywhere, and each document in a model that knows of none."""
    monkeypatch.setattr(_features, "CHUNK", 8)
    rows, length = _drawn(30, 24, seed=5), 24
    assert min(map(len, rows)) < 4 < max(map(len, rows))
    x = np.array(normal(4, 30, length, D)) * np.exp(np.array(normal(5, 30, length, 1)))
    both, told = _rows(x, rows, length, seed=6)
    split = lambda part: Rows(*(array[part] for array in told))
    found = states(both[:30], split(slice(30)), **parts)
    wanted = states(both[30:], split(slice(30, None))._replace(segments=None), **parts, mask="causal")
    _check(np.concatenate([found, wanted]), rows)


@pytest.mark.parametrize("encoding", ["cope(max_position=4)", "fire(width=5, threshold=3.0)", "fox", "shaw(max_distance=3)"])
def test_chunked_is_dense(encoding, small_blocks):
    """With what is prepared of the whole row, and cut with it."""
    rows, length = _drawn(2, 23, seed=7), 23
    x, told = normal(8, 2, length, D), packed(rows, length)
    dense, chunked = (states(x, told, kernel, encoding=encoding) for kernel in ("dense", "chunked"))
    np.testing.assert_allclose(chunked[told.valid], dense[told.valid], rtol=1e-5, atol=1e-5)
    assert small_blocks

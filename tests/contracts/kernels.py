"""What every kernel promises: the attention of the kernel of reference, dropout, and reasons for what it cannot do."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.attend import parts_of
from attention.kernels import Ask, chosen
from attention.records import Call
from tests.support.helpers import assert_close, inputs, jit, normal, params_of, value_and_gradients
from tests.support.kernels import PARTS, pairwise
from tests.support.rows import over_rows, rows

(REFERENCE,) = (name for name, row in rows("kernel").items() if row.evidence.reference)
# Those that compute by themselves, in another way than the reference.
HERE = [name for name, row in rows("kernel").items() if row.evidence.platform in ("", jax.default_backend())]
OTHERS = [name for name in HERE if name != REFERENCE and attention.build("kernel", name).choose is None]


@pytest.mark.parametrize("combination", list(pairwise()), ids=" | ".join)
@pytest.mark.parametrize("kernel", OTHERS)
def test_agrees_with_the_reference(kernel, combination, small_blocks):
    """Value and the gradient of every input and parameter, with padding, ragged blocks and skipped keys."""
    specs = dict(zip(PARTS, combination))
    params = params_of(**{kind: spec for kind, spec in specs.items() if kind != "mask"})
    call = Call(k_valid=jnp.arange(72) < jnp.array([[72], [59]]))
    arrays = (*inputs(T=72, S=72), params, normal(5, 1, 4, 72, 72))
    upstream = normal(6, 2, 72, 4, 8)

    @jit
    def both(arrays, upstream, call):
        return tuple(value_and_gradients(arrays, upstream, kernel=each, call=call, **specs) for each in (REFERENCE, kernel))

    wanted, found = both(arrays, upstream, call)
    assert_close(found, wanted)
    assert all(np.abs(gradient).max() > 1e-4 for gradient in jax.tree.leaves(wanted[1][:3]))
    spans = rows("kernel")[kernel].evidence.spans
    if spans is not None:
        assert {queries for queries, _ in small_blocks} == {16}
        assert {keys for _, keys in small_blocks} == spans(specs)


@over_rows("kernel")
def test_what_it_serves(name, row):
    """Or why not: weights that are to be returned, and parts that read all scores at once."""
    asks = {
        "plain": Ask(parts_of(), (2, 4, 9, 9)),
        "weights": Ask(parts_of(), (2, 4, 9, 9), weights=True),
        "all": Ask(parts_of(normalizer="sinkhorn"), (2, 4, 9, 9)),
    }
    for what, ask in asks.items():
        if what in row.evidence.refuses:
            with pytest.raises(ValueError, match=f"kernel={name}: .*{row.evidence.refuses[what]}"):
                chosen(name, ask)
        else:
            assert chosen(name, ask).kernel.choose is None


def test_unknown():
    with pytest.raises(ValueError, match=r"unknown kernel 'chunk' \(nearest: 'chunked'\); known: auto, chunked, cudnn, dense"):
        chosen("chunk", Ask(parts_of(), (1,)))


@pytest.mark.parametrize("name", HERE)
def test_dropout_of_weights(name, small_blocks):
    query, key, value = inputs(B=1, T=64, S=24, N=2, H=4)
    query = jnp.broadcast_to(query[:, :1], query.shape)  # equal queries: only the noise tells blocks apart

    @jit
    def run(rate, seeds):
        attend = lambda rng, **options: attention.attend(query, key, value, call=Call(rng=rng), kernel=name, **options)
        plain = attend(None)
        outputs = jax.lax.map(lambda seed: attend(jax.random.key(seed), dropout=rate), seeds)
        return plain, outputs

    seeds = jnp.arange(300)
    plain, outputs = run(0.25, seeds)
    error = np.asarray(outputs.std(0)) / len(seeds) ** 0.5
    z = np.abs(outputs.mean(0) - plain) / error
    assert z.max() < 5.5
    assert (z < 1).mean() > 0.6
    np.testing.assert_allclose(run(0.0, seeds)[1][0], plain, atol=1e-6)
    blocks = np.asarray(outputs[0, 0]).reshape(4, 16, -1)
    assert all(not np.allclose(blocks[a], blocks[b]) for a, b in itertools.combinations(range(4), 2))
    assert not np.allclose(outputs[0], outputs[1])

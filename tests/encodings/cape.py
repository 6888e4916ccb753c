"""Evidence of continuous augmented positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import reference
from tests.support.encodings import D, layer
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import DIMS, init, normal, unchecked
from tests.support.row import Row
from tests.support.wrappers import RAW, call, moved, training


def embed(x, tokens, i, text, params):
    """In evaluation positions are counted from the middle of the text."""
    return x + np.stack([reference.sinusoidal(each, x.shape[-1]) for each in i - i[text].mean()])


def picture():
    from tools.kinds.encoding_maps import augmented

    return augmented("cape", beside=True)


ROW = Row(
    "cape",
    {"inner": "alibi", "global_shift": "40.0", "local_shift": "0.0", "scale": "2.0"},
    EncodingEvidence(
        (EncodingCase("cape", embed),),
        "in training positions are drawn; their distribution is checked below",
        call=lambda: Call(train=True, rng=jax.random.key(3)),
        picture=picture,
        errors={
            "cape(global_shift=-1)": "global_shift must be a finite number >= 0, got -1.0",
            "cape(local_shift=0.6)": r"local_shift must be in \[0, 0.5\], got 0.6",
            "cape(scale=0.9)": "scale must be a finite number >= 1, got 0.9",
            "cape(inner=learned)": "cape makes fractions of positions, and the encoding inside has a table of whole ones",
            "cape(inner=randomized)": "cape makes fractions of positions",
        },
    ),
)


def test_evaluation():
    """Sinusoidal positions that count from the middle of the valid tokens; exact a million positions away."""
    wanted = [[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], [-1.5, -0.5, 0.5, 1.5, 0, 0]]
    np.testing.assert_array_equal(moved("cape", call()), wanted)
    np.testing.assert_array_equal(moved("cape", call(RAW + 1_000_000)), wanted)
    np.testing.assert_array_equal(moved("cape", call(rng=jax.random.key(0))), wanted)
    x = normal(0, 2, 6, D)
    record = attention.build("encoding", "cape")
    found = record.embed({}, x, None, record.positions({}, call()))
    np.testing.assert_allclose(found, x + attention.sinusoidal(jnp.array(wanted), D), atol=1e-6)
    empty = moved("cape", call(RAW[:1], jnp.zeros((1, 6), bool)))
    np.testing.assert_array_equal(empty, np.zeros((1, 6)))


def test_training():
    """Δ and λ of each example and ε of each token, uniform between their bounds; tokens keep their order."""
    count = 4000
    given = training(positions=jnp.array([0, 1, 2, 6, 7, 99]), valid=jnp.broadcast_to(jnp.arange(6) < 5, (count, 6)))
    centred = np.array([0, 1, 2, 6, 7]) - 3.2
    found = lambda **options: moved(f"cape({', '.join(f'{k}={v}' for k, v in options.items())})", given)[:, :5]
    assert (moved("cape", given)[:, 5] == 0).all()

    def is_uniform(values, most):
        assert np.abs(values).max() <= most * (1 + 1e-5)
        assert np.abs(values).max() > 0.99 * most
        assert abs(values.mean()) < 5 * most / (3 * values.size) ** 0.5
        np.testing.assert_allclose(values.std(), most / 3**0.5, rtol=0.05)

    by = found(global_shift=4, local_shift=0, scale=1) - centred
    np.testing.assert_allclose(by - by[:, :1], 0, atol=2e-6)
    is_uniform(by[:, 0], 4)
    jitter = found(global_shift=0, local_shift=0.4, scale=1) - centred
    is_uniform(jitter, 0.4)
    assert np.abs(np.corrcoef(jitter.T) - np.eye(5)).max() < 0.1
    stretched = np.log(found(global_shift=0, local_shift=0, scale=2) / centred)
    np.testing.assert_allclose(stretched - stretched[:, :1], 0, atol=1e-5)
    is_uniform(stretched[:, 0], np.log(2))
    both = found(global_shift=4, local_shift=0.5, scale=2)
    assert (np.diff(both) > 0).all()
    mean = both.mean(1)  # (Δ + mean ε) e^λ: shifts are stretched too
    assert np.abs(mean).max() > 4.6
    apart = found(global_shift=4, local_shift=0, scale=2)
    stretch = np.log((apart[:, 4] - apart[:, 0]) / 7)
    assert abs(np.corrcoef(stretch, apart.mean(1) / np.exp(stretch))[0, 1]) < 0.1


@pytest.mark.parametrize("inner", ["rope", "alibi", "rope + sinusoidal", "xpos", "p_rope"])
def test_relative_positions_at_evaluation(inner):
    """Fractions cancel in a distance: at evaluation it is the encoding inside."""
    (_, run), (_, plain) = (layer(spec, "causal") for spec in (f"cape(inner={inner})", inner))
    x, params = normal(0, 1, 8, D), {}
    if "sinusoidal" in inner:
        assert not np.allclose(run(params, x, Call()), plain(params, x, Call()), atol=1e-3)
    else:
        np.testing.assert_allclose(run(params, x, Call()), plain(params, x, Call()), atol=1e-5)


@pytest.mark.parametrize("inner", ["shaw(max_distance=3)", "table(window=8)", "deberta"])
def test_tables_refuse_fractions(inner):
    """cape makes positions that a row per whole distance cannot serve: said, and not rounded."""
    record = attention.build("encoding", f"cape(inner={inner})")
    params, x = init(record), normal(0, 2, 9, DIMS.model_dim)
    q = k = v = x.reshape(2, 9, DIMS.num_heads, DIMS.head_dim)
    options = {"encoding": record, "params": {"encoding": params}, "x": x, "call": Call(train=True, rng=jax.random.key(0))}
    with pytest.raises(ValueError, match="a row per whole position"):
        unchecked(attention.attend)(q, k, v, **options)

"""What is true of single mixers: their limits, long texts, properties, and what they refuse."""

import functools
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from benchmarks import mixers as benchmark
from tests.support import models
from tests.support.helpers import assert_close, float64, jit, normal, unchecked
from tests.support.mixer_layers import VALID, T, layer, made, outputs, states
from tests.support.mixer_rows import ROWS, D, L

# Limits: one mixer is another at the end of its options.


def test_grouped_heads_with_equal_keys_are_plain_heads():
    own = made("attention(heads=4, kv_heads=2)")[2]
    repeated = {
        name: jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, axis=-2), layer) if name in ("key", "value") else layer
        for name, layer in own.items()
    }
    x = states()
    np.testing.assert_allclose(
        outputs("attention(heads=4)", repeated, x), outputs("attention(heads=4, kv_heads=2)", own, x), atol=1e-6
    )


def test_linformer_with_identities_is_attention():
    own = made("attention(heads=2)")[2]
    x = states()
    eye = {"key_table": jnp.eye(L)[:, :T], "value_table": jnp.eye(L)[:, :T]}
    found = outputs(f"linformer(heads=2, rank={T})", {**own, **eye}, x)
    np.testing.assert_allclose(found, outputs("attention(heads=2)", own, x), atol=1e-6)


def test_linformer_by_hand():
    """The bare function, whose mixer goes by way of `attend`: two tables, padding and the scale, token by token."""
    query, key, value = normal(0, 5, 2, 4), normal(1, 6, 2, 4), normal(2, 6, 2, 4)
    E, F, where = normal(3, 8, 3), normal(4, 8, 3), np.array([True, True, False, True, False, True])
    found = attention.linformer_attention(query, key, value, E, F, jnp.asarray(where))
    for t, n in np.ndindex(5, 2):
        keys, values = (
            sum(np.outer(table[s], x[s, n]) for s in np.flatnonzero(where))
            for table, x in zip(float64((E, F)), float64((key, value)))
        )
        shares = np.exp(keys @ np.float64(query[t, n]) / 2)
        np.testing.assert_allclose(found[t, n], shares / shares.sum() @ values, atol=1e-5)


def test_nystrom_with_every_token_a_landmark_is_attention():
    """Also where the landmarks are more than the tokens, in a padded text, as far as the inverse converges."""
    own = made("attention(heads=2)")[2]
    x = states()
    found, wanted = (outputs(s, own, x, VALID) for s in ("nystrom(heads=2, landmarks=8, iterations=40)", "attention(heads=2)"))
    np.testing.assert_allclose(np.where(VALID[..., None], found - wanted, 0), 0, atol=2e-4)


def test_performer_tends_to_attention():
    """With an error that falls as m^(-1/2) on average over draws, without bias."""
    query, key, value = (0.5 * normal(i, 1, 12, 1, 8) for i in range(3))
    where = jnp.arange(12) < 9
    wanted = jax.nn.dot_product_attention(query, key, value, mask=where[None, None, None])
    sizes, errors = (32, 128, 512, 2048), []
    for m in sizes:

        def of_draw(rng, m=m):
            omega = attention.orthogonal_gaussian(rng, m, 8)
            found = attention.performer_attention(query, key, value, omega, where[None], epsilon=0.0)
            return jnp.mean((found - wanted) ** 2)

        squares = jit(lambda rngs, of_draw=of_draw: jax.lax.map(of_draw, rngs))(jax.random.split(jax.random.key(m), 48))
        errors.append(np.sqrt(np.mean(squares)))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -0.65 < slope < -0.35
    assert errors[-1] < 0.02


def test_orthogonal_gaussian():
    omega = np.asarray(attention.orthogonal_gaussian(jax.random.key(0), 11, 4))
    for first in (0, 4, 8):
        gram = omega[first : first + 4] @ omega[first : first + 4].T
        np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-4)
    many = np.asarray(attention.orthogonal_gaussian(jax.random.key(1), 8000, 4))
    np.testing.assert_allclose(many.T @ many / 8000, np.eye(4), atol=0.05)
    np.testing.assert_allclose(many.mean(0), 0, atol=0.05)
    with pytest.raises(ValueError, match="features and dim must be >= 1, got 0 and 4"):
        attention.orthogonal_gaussian(jax.random.key(0), 0, 4)


def test_talking_heads_with_identities_is_plain_attention():
    own = made("attention(heads=2)")[2]
    x, eye = states(), {"talking": {"scores": jnp.eye(2), "weights": jnp.eye(2)}}
    found = outputs("attention(heads=2, talking_heads=True)", {**own, **eye}, x, VALID, "causal", "alibi")
    np.testing.assert_allclose(found, outputs("attention(heads=2)", own, x, VALID, "causal", "alibi"), atol=1e-6)


def test_latent_attention_of_full_rank_is_attention():
    """With W_c = 1 on states of unit root mean square, and no shared key: what is left of it is the scale."""
    own = made("attention(heads=2, bias=False)")[2]
    x = states()
    x = x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True))
    query = jnp.concatenate([own["query"]["kernel"] * np.sqrt(6 / 4), jnp.zeros((D, 2, 2))], -1)
    full = {"latent": jnp.eye(D), "latent_scale": jnp.ones(D), "shared_key": jnp.ones((D, 2)), "query": query}
    full |= {name: own[name]["kernel"] for name in ("key", "value", "output")}
    found = outputs(f"latent_attention(heads=2, head_dim=4, rope_dim=2, rank={D})", full, x, encoding="rope")
    np.testing.assert_allclose(found, outputs("attention(heads=2, bias=False)", own, x), atol=1e-5)


@pytest.mark.parametrize(
    "spec",
    ["longformer(heads=2, window=40, separate=False)", "longformer(heads=2, window=0, globals=24, separate=False)",
     "bigbird(heads=2, block=30)", "bigbird(heads=2, block=1, random_blocks=24)"],
)  # fmt: skip
def test_sparse_attention_over_everything_is_attention(spec):
    own, x = made("attention(heads=2)")[2], states()
    for mask in ("full", "causal"):
        found, wanted = (outputs(s, own, x, VALID, mask, "alibi") for s in (spec, "attention(heads=2)"))
        np.testing.assert_allclose(np.where(VALID[..., None], found - wanted, 0), 0, atol=1e-6)


def test_global_rows_with_equal_projections_are_rows_of_attention():
    own, x = made("attention(heads=2)")[2], states()
    copies = {f"global_{name}": own[name] for name in ("query", "key", "value")}
    found, wanted = (
        outputs(s, {**own, **copies}, x, VALID, encoding="t5")
        for s in ("longformer(heads=2, window=2, globals=2)", "longformer(heads=2, window=2, globals=2, separate=False)")
    )
    np.testing.assert_allclose(np.where(VALID[..., None], found - wanted, 0), 0, atol=1e-6)


def test_without_global_positions_there_are_no_projections_for_them():
    mixer = made("longformer(heads=2, globals=0)")[2]
    assert set(mixer) == {"query", "key", "value", "output"}


# Long texts.


@pytest.mark.parametrize("spec", ["linear(heads=2)", "performer(heads=2, features=6)", "cosformer(heads=2, length=400)"])
def test_chunks_of_prefix_sums(spec, monkeypatch):
    """As in one chunk, by value and gradient, where the last chunk is not full."""
    from attention.mixers import _features

    own, x = made(spec)[2], states(length=37, batch=1)
    loss = lambda run: jit(jax.value_and_grad(lambda x: jnp.sum(run(own, x, jnp.ones((1, 37), bool)) ** 2)))(x)
    whole = loss(layer(spec, "causal"))
    monkeypatch.setattr(_features, "CHUNK", 8)
    chunked = loss(layer(spec, "causal"))
    assert_close(chunked, whole, 1e-5)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("attention_talking", "alibi"), ("attention_memory", "rope"), ("gau", "t5"), ("latent_attention", "rope"),
     ("longformer", "rope"), ("bigbird", "none"), ("synthesizer", "none"), ("linformer", "none")],
)  # fmt: skip
def test_chunked(name, encoding, small_blocks):
    """The chunked kernel gives what the dense one does, by value and gradient."""
    row, own = ROWS[name], made(ROWS[name].spec)[2]
    x, valid = states(length=23), jnp.arange(23) < jnp.array([[23], [9], [17]])
    found = {}
    for kernel in ("dense", "chunked"):
        run = functools.partial(layer(row.spec, "full", encoding), kernel=kernel)
        loss = lambda own, x: jnp.sum(jnp.where(valid[..., None], run(own, x, valid), 0) ** 2)  # noqa: B023
        found[kernel] = jit(jax.value_and_grad(loss, (0, 1)))(own, x)
    assert_close(found["chunked"], found["dense"], 3e-5)
    assert small_blocks


# More properties.


def test_cosformer_sees_distances_alone():
    """Tokens before a text that count for nothing shift it and change nothing, under a fixed M."""
    query, key, value = (normal(i, 9, 2, 4) for i in range(3))
    where = jnp.arange(9) >= 4
    run = lambda *a, **where: attention.cosformer_attention(*a, length=24, **where)
    late = run(query, key, value, where, q_where=where)[4:]
    np.testing.assert_allclose(late, run(query[4:], key[4:], value[4:]), atol=1e-6)


def test_efficient_outputs_are_means():
    query, key = normal(0, 5, 2, 4), normal(1, 7, 2, 4)
    np.testing.assert_allclose(attention.efficient_attention(query, key, jnp.ones_like(key)), 1.0, atol=1e-6)


def test_fourier_mixing_of_an_impulse_and_of_a_constant():
    impulse = jnp.zeros((5, 4)).at[0, 0].set(3.0)
    np.testing.assert_allclose(attention.fourier_mixing(impulse, length=8), 3.0, atol=1e-6)
    found = attention.fourier_mixing(jnp.ones((8, 4)), length=8)
    np.testing.assert_allclose(found, jnp.zeros((8, 4)).at[0, 0].set(32.0), atol=1e-4)


def test_iterated_inverse():
    matrix = np.eye(4) + 0.3 * np.random.default_rng(0).random((3, 4, 4))
    found = attention.iterated_inverse(jnp.asarray(matrix, jnp.float32), 12)
    np.testing.assert_allclose(found, np.linalg.inv(matrix), atol=1e-4)
    holes = matrix.copy()
    holes[:, 2], holes[:, :, 2] = 0, 0
    np.testing.assert_allclose(
        attention.iterated_inverse(jnp.asarray(holes, jnp.float32), 20), np.linalg.pinv(holes), atol=1e-4
    )
    alone = attention.iterated_inverse(jnp.asarray(100 * matrix[:1], jnp.float32))
    beside = attention.iterated_inverse(jnp.asarray(np.concatenate([100 * matrix[:1], matrix]), jnp.float32))
    np.testing.assert_array_equal(beside[:1], alone)


@pytest.mark.parametrize(("n", "sizes"), [(7, [3, 2, 2]), (3, [1, 1, 1]), (2, [1, 1, 0]), (0, [0, 0, 0])])
def test_landmarks_share_the_valid_tokens(n, sizes):
    where = jnp.asarray([False, *([True] * n), *([False] * (8 - n))])
    means, there = attention.landmark_means(jnp.arange(-1.0, 8.0).reshape(9, 1, 1), where, landmarks=3)
    starts = np.cumsum([0, *sizes])
    wanted = [np.mean(range(a, b)) if b > a else 0 for a, b in itertools.pairwise(starts)]
    np.testing.assert_allclose(means[:, 0, 0], wanted)
    np.testing.assert_array_equal(there, np.array(sizes) > 0)


def test_the_unit_is_its_mixer():
    own, x = made("gau(key_dim=4)")[2], states()
    found = attention.gated_attention_unit(x, own, VALID)
    np.testing.assert_allclose(found, outputs("gau(key_dim=4)", own, x, VALID), atol=1e-6)


def test_redraw():
    """Another ω in each training step, and that of the seed in evaluation; layers have their own."""
    spec = "performer(heads=2, features=6, redraw=True)"
    own, x = made(spec)[2], states()
    run = lambda **rest: layer(spec)(own, x, VALID, **rest)
    one, two = jax.random.key(1), jax.random.key(2)
    np.testing.assert_array_equal(run(rng=one, train=True), run(rng=one, train=True))
    assert not np.allclose(run(rng=one, train=True), run(rng=two, train=True), atol=1e-4)
    np.testing.assert_array_equal(run(rng=one), run(rng=two))
    assert not np.allclose(run(), run(layer=1), atol=1e-4)
    with pytest.raises(ValueError, match=r"redraw=True draws from call\.rng"):
        run(train=True)


def test_memory_is_seen_whatever_the_mask():
    """A query that may attend to no token attends to the learned keys, and a rotation does not move them."""
    spec = "attention(heads=2, memory=3)"
    own, x = made(spec)[2], states()
    nothing = outputs(spec, own, x, jnp.zeros((3, T), bool), "causal")
    np.testing.assert_allclose(nothing[0], outputs(spec, own, x[:1], jnp.zeros((1, T), bool))[0], atol=1e-6)
    assert np.abs(nothing[:, :, None] - own["output"]["bias"]).max() > 1e-2
    moved = {"q_positions": jnp.arange(T)[None] + 7, "k_positions": jnp.arange(T)[None] + 7}
    assert not np.allclose(outputs(spec, own, x, encoding="rope"), outputs(spec, own, x, encoding="rope", **moved), atol=1e-4)


# What is refused.


@pytest.mark.parametrize("T", [1, 2])
@pytest.mark.parametrize("name", ["linear_attention", "cosformer_attention", "aft_simple", "aft_full"])
def test_causal_forms_want_as_many_keys_as_queries(name, T):
    """As users call them, without the checks of the hook."""
    x, options = jnp.ones((3, 1, 4)), {"length": 9} if name == "cosformer_attention" else {}
    arrays = (x[:T], x, x) if name.endswith("attention") else (x[:T, 0], x[:, 0], x[:, 0])
    arrays += (jnp.zeros((T, 3)),) if name == "aft_full" else ()
    with pytest.raises(ValueError, match=f"the causal form wants as many keys as queries, got 3 and {T}"):
        unchecked(getattr(attention, name))(*arrays, causal=True, **options)


@pytest.mark.parametrize("spec", ["linformer(heads=2)", "aft", "synthesizer(heads=2)", "fnet", "cosformer(heads=2, length=24)"])
def test_too_long(spec):
    """At construction of the model, and for a text that is too long with its padding; `longest_text` knows the limit."""
    tokens = jnp.ones((1, L + 1), jnp.int32)
    model, params, _ = models.made(mixer=spec)
    assert attention.models.classifier.longest_text(model) == L
    with pytest.raises(ValueError, match=f"the mixer has {L} positions, got a sequence of {L + 1}, padding included"):
        model.apply({"params": params}, tokens, tokens > 0)
    if spec != "synthesizer(heads=2)":
        with pytest.raises(ValueError, match=f"{L} (positions|tokens), got"):
            layer(spec)(made(spec)[2], states(length=L + 1), jnp.ones((3, L + 1), bool))
    with pytest.raises(ValueError, match="the mixer has 3 positions, got a sequence of 24"):
        models.classifier(mixer={"fnet": "fnet(length=3)"}.get(spec, "cosformer(heads=2, length=3)"))


@pytest.mark.parametrize("name", ["linformer", "aft", "fnet"])
def test_positions_past_the_table(name):
    """Refused where they can be read, NaN under a trace; those of padding do not count."""
    spec, own = ROWS[name].spec, made(ROWS[name].spec)[2]
    x = states()
    at = lambda last: {side: jnp.tile(jnp.arange(T).at[5].set(last), (3, 1)) for side in ("q_positions", "k_positions")}
    with pytest.raises(ValueError, match=f"the mixer has {L} positions, got position {L}"):
        layer(spec)(own, x, VALID, **at(L))
    found = jit(layer(spec))(own, x, VALID, **at(L))
    assert np.isnan(found[0, :5]).any() or np.isnan(found[0, 5]).all()
    np.testing.assert_allclose(found[1, :3], jit(layer(spec))(own, x, VALID, **at(5))[1, :3], atol=1e-6)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"mixer": "linear", "mask": "local"}, r"mixer=linear with mask=local: it takes mask=full or causal"),
        ({"mixer": "linear", "encoding": "alibi"}, r"mixer=linear with encoding=alibi: this encoding does more than rotate"),
        ({"mixer": "linear", "normalizer": "sparsemax"}, "mixer=linear with normalizer=sparsemax: it uses no normalizer"),
        ({"mixer": "efficient", "mask": "causal"}, "mixer=efficient with mask=causal: it uses no mask"),
        ({"mixer": "performer", "encoding": "rope"}, "mixer=performer with encoding=rope: this encoding acts on scores"),
        ({"mixer": "cosformer", "mask": "causal"}, "mixer=cosformer with mask=causal: give length"),
        ({"mixer": "nystrom", "score": "dot"}, "mixer=nystrom with score=dot: it uses no score"),
        ({"mixer": "linformer", "mask": "causal"}, "mixer=linformer with mask=causal: it uses no mask"),
        ({"mixer": "fnet", "mask": "causal"}, "mixer=fnet with mask=causal: it uses no mask"),
        ({"mixer": "gau", "encoding": "shaw"}, "mixer=gau with encoding=shaw: this encoding adds to values"),
        (
            {"mixer": "attention(talking_heads=True)", "normalizer": "differential"},
            "with normalizer=differential: talking_heads mixes heads",
        ),
        ({"mixer": "attention(memory=2)", "encoding": "t5"}, "with encoding=t5: .* a learned key has no position"),
        ({"mixer": "attention(memory=2)", "score": "location"}, "with score=location: this score goes by positions"),
        ({"mixer": "latent_attention", "encoding": "shaw"}, "encoding=shaw: this encoding adds to values"),
        ({"mixer": "latent_attention", "encoding": "pope"}, "encoding=pope: this encoding has parameters for every channel"),
        ({"mixer": "latent_attention", "normalizer": "differential"}, "normalizer=differential: this normalizer joins heads"),
        ({"mixer": "longformer", "normalizer": "sinkhorn"}, "normalizer=sinkhorn: this normalizer couples queries"),
    ],
)
def test_parts_that_do_not_go(specs, message):
    with pytest.raises(ValueError, match=message) as caught:
        models.classifier(**specs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("linear(heads=0)", "heads must be >= 1, got 0"),
        ("performer(features=0)", "features must be >= 1, got 0"),
        ("performer(epsilon=-1)", "epsilon must be a finite number >= 0"),
        ("cosformer(length=0)", "length must be >= 1, got 0"),
        ("linformer(rank=0)", "rank must be >= 1, got 0"),
        ("nystrom(landmarks=0)", "landmarks must be >= 1, got 0"),
        ("nystrom(iterations=-1)", "iterations must be >= 0, got -1"),
        ("nystrom(conv=4)", "conv must be 0 or an odd width, got 4"),
        ("fnet(length=0)", "length must be >= 1, got 0"),
        ("gau(expansion=0)", "expansion must be a finite number > 0"),
        ("attention(heads=4, kv_heads=3)", "kv_heads must divide heads, got 3 and 4"),
        ("attention(memory=-1)", "memory must be >= 0, got -1"),
        ("latent_attention(rope_dim=0)", "rope_dim must be >= 1, got 0"),
        ("longformer(window=3)", "window"),
        ("bigbird(block=0)", "block must be >= 1, got 0"),
    ],
)
def test_options_out_of_range(spec, message):
    with pytest.raises(ValueError, match=message):
        attention.build("mixer", spec)


def test_there_is_no_kernel_without_attention():
    assert attention.models.classifier.kernel_choice(models.classifier(mixer="linear"), 64, 512) == "none"
    assert attention.models.classifier.kernel_choice(models.classifier(mixer="latent_attention"), 64, 512) == "chunked"


# Benchmark and page.


def test_the_benchmark_from_end_to_end(capsys):
    benchmark.main(["--lengths=8,16", "--only=linear/causal", "--repetitions=2"])
    printed = capsys.readouterr().out
    assert all(words in printed for words in ("linear/causal, forward and backward", "T = 16", "exponents of"))
    assert benchmark.exponent({1024: 100.0, 2048: 1.0, 4096: 4.0, 8192: 16.0}) == pytest.approx(2.0)
    assert benchmark.exponent({8: 1.0, 16: 2.0}) == pytest.approx(1.0)
    assert benchmark.step("synthesizer(form='random')", 8192) is None


@pytest.mark.parametrize("spec", benchmark.specs())
def test_every_case_of_the_benchmark_has_gradients(spec):
    """Traced only."""
    gradient, params, x = benchmark.step(spec, 8)
    own, states = jax.eval_shape(gradient, params, x)
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, params)
    assert states.shape == x.shape


def test_the_page_has_all_of_each_mixer():
    page = (Path(attention.__file__).parent.parent / "docs" / "mixers.md").read_text(encoding="utf-8")
    sections = {part.split("\n", 1)[0].strip("`"): part for part in page.split("\n### ")[1:]}
    assert set(sections) == set(attention.names("mixer"))
    for name, part in sections.items():
        assert f"| `{name}` |" in page
        assert "**Source:**" in part
        assert "**Trap:**" in part

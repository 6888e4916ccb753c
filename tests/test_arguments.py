"""What callers give ``attend`` that is wrong, unknown, empty or infinite, and under which switches of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.attend import parts_of
from attention.kernels import chunked
from attention.records import Call
from tests.support.helpers import inputs, jit, params_of, unchecked


def _call(**fields):
    """A call that the jaxtyping hook has not seen."""
    call = Call()
    for name, value in fields.items():
        object.__setattr__(call, name, value)
    return call


def _refused(message, params=None, **changes):
    arrays = dict.fromkeys(("query", "key", "value"), jnp.ones((1, 3, 2, 4))) | changes
    given = [arrays.pop(name) for name in ("query", "key", "value")]
    with pytest.raises(ValueError, match=message):
        unchecked(attention.attend)(*given, params=params, **arrays)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"encodings": {"table": 1.0}}, "params has no 'encodings' .nearest: 'encoding'"),
        ({"mask": {}}, "params has no 'mask'.*; it wants 'encoding', 'score' or 'normalizer'"),
        ([("encoding", {"table": 1.0})], "params wants a dictionary with 'encoding', .*, got list"),
        (
            {"encoding": ({"table": 1.0}, {})},
            r"params\['encoding'\] wants a dictionary of the parameters of encoding=t5.*, got tuple",
        ),
        ({"encoding": {}}, "lacks 'table' of encoding=t5.*, got nothing"),
        ({"encoding": {"tables": 1.0}}, r"lacks 'table' of encoding=t5.*, got 'tables' \(nearest: 'tables'\)"),
        ({"encoding": {"table": 1.0, "extra": 1.0}}, "holds 'extra', which encoding=t5.* does not have.*; it has 'table'"),
        (
            {"encoding": {"table": jnp.ones((32, 2))}, "score": {"table": 1.0}},
            "holds 'table', and score=scaled_dot has no parameters",
        ),
    ],
)
def test_parameters_of_a_wrong_kind_or_name(given, message):
    _refused(message, given, encoding="t5")


@pytest.mark.parametrize(
    ("parts", "kind", "name", "change", "message"),
    [
        ({"encoding": "t5"}, "encoding", "table", lambda leaf: leaf[:8], r"wants the shape \(32, 4\) .*, got \(8, 4\)"),
        ({"encoding": "rope + t5"}, "encoding", "1.table", lambda leaf: leaf.T, r"'1.table' .* wants the shape \(32, 4\)"),
        ({"encoding": "shaw"}, "encoding", "keys", lambda leaf: leaf[:1], r"wants the shape \(\d+, 8\) .*, got \(1, 8\)"),
        (
            {"normalizer": "sink"},
            "normalizer",
            None,
            lambda leaf: leaf[:1],
            r"wants the shape \(4,\) for these heads, got \(1,\)",
        ),
        ({"normalizer": "ssmax"}, "normalizer", None, lambda leaf: leaf[:, None], r"wants the shape \(4,\) .*, got \(4, 1\)"),
        ({"encoding": "t5"}, "encoding", "table", lambda leaf: leaf.astype(int), "wants floating point numbers, got int"),
        ({"encoding": "t5"}, "encoding", "table", lambda leaf: leaf + 1j, "wants floating point numbers, got complex64"),
        ({"encoding": "t5"}, "encoding", "table", lambda leaf: "x", "wants floating point numbers, got str"),
        ({"score": "location"}, "score", "table", lambda leaf: leaf[:2], r"wants the shape \(4, max_length, 8\) .*, got \(2, "),
    ],
)
def test_parameters_of_a_wrong_shape_or_type(parts, kind, name, change, message):
    """Where it is spread, clamped or cast, the numbers are those of nothing."""
    query, key, value = inputs(T=5, S=5)
    right = params_of(**parts)
    assert np.isfinite(attention.attend(query, key, value, params=right, **parts)).all()

    def changed(path, leaf):
        return change(leaf) if name in (None, jax.tree_util.keystr(path, simple=True, separator=".")) else leaf

    wrong = {kind: jax.tree_util.tree_map_with_path(changed, right[kind])}
    with pytest.raises(ValueError, match=message):
        unchecked(attention.attend)(query, key, value, params=wrong, **parts)


@pytest.mark.parametrize("parts", [{"normalizer": "sink"}, {"encoding": "t5"}, {"score": "cosine"}, {"encoding": "kerple"}])
def test_parameters_of_all_heads_where_one_is_at_hand(parts):
    query = jnp.ones((1, 3, 1, 8))
    call = Call(heads=jnp.array([2]), num_heads=4)
    with pytest.raises(ValueError, match="for these heads, got"):
        attention.attend(query, query, query, params=params_of(**parts), call=call, **parts)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"normalizer": attention.sparsemax},
            r"normalizer wants a spec such as 'sparsemax', or attention.build\('normalizer', ",
        ),
        ({"mask": jnp.ones((3, 3), bool)}, "mask wants a spec such as 'bigbird', or"),
        ({"encoding": None}, "encoding wants a spec such as .*, got 'NoneType'"),
        ({"normalizer": attention.build("score", "dot")}, "normalizer wants a spec such as .*, got 'score'"),
    ],
)
def test_parts_of_a_wrong_kind(given, message):
    with pytest.raises(ValueError, match=message):
        unchecked(parts_of)(**given)


@pytest.mark.parametrize("rate", [np.float32(50), jnp.float32(1.0), -0.3, np.float64("nan"), "0.1", jnp.ones(2) / 10, 1])
@pytest.mark.parametrize("length", [3, 0])
def test_rates_of_dropout(rate, length):
    arrays = {name: jnp.ones((1, length, 2, 4)) for name in ("key", "value")}
    _refused(r"rate must be (a number )?in \[0, 1\)", dropout=rate, call=Call(rng=jax.random.key(0)), **arrays)


@pytest.mark.parametrize("name", ["query", "key", "value"])
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.complex64, bool])
def test_arrays_are_floating(name, dtype):
    _refused(f"{name} wants floating point numbers, got", **{name: jnp.ones((1, 3, 2, 4), dtype)})


def test_masks_are_boolean():
    """Flax makes masks of floats, and people put masks where biases go."""
    mask = jnp.ones((1, 1, 3, 3))
    _refused("where must be boolean .*, got float32: give mask != 0", where=mask)
    _refused("bias wants floating point numbers, got bool; a mask goes to where=", bias=mask != 0)
    _refused(r"call\.k_valid wants booleans .*: give valid != 0, got int32", call=Call(k_valid=jnp.ones((1, 3), jnp.int32)))
    with pytest.raises(ValueError, match=r"where must be a boolean array .*: give mask != 0"):
        unchecked(attention.softmax)(mask, mask)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"call": Call(jnp.arange(1), jnp.arange(1))}, r"call\.q_positions of shape \(1,\) is not of the tokens \(1, 3\)"),
        ({"call": Call(k_valid=jnp.ones((2, 3), bool))}, r"call\.k_valid of shape \(2, 3\) is not of the tokens \(1, 3\)"),
        ({"call": Call(jnp.ones(3, jnp.complex64), jnp.ones(3))}, r"call\.q_positions wants whole numbers, .*, got complex64"),
        ({"call": Call(jnp.ones(3, bool), jnp.ones(3, bool))}, r"call\.q_positions wants whole numbers, .*, got bool"),
        ({"call": Call(q_segments=jnp.ones(3), k_segments=jnp.ones(3))}, r"call\.q_segments wants whole numbers, got float32"),
        ({"call": Call(num_heads=8)}, r"call\.num_heads is read where call\.heads says which"),
        ({"call": _call(heads=[0, 1], num_heads=2)}, r"call\.heads wants an array, got list"),
        (
            {"call": Call(heads=jnp.arange(2.0), num_heads=2)},
            r"call\.heads and call\.num_heads want whole numbers, got float32",
        ),
        ({"call": _call(heads=jnp.arange(2), num_heads=2.0)}, r"call\.heads and call\.num_heads want whole numbers, .* 2\.0"),
        ({"call": Call(heads=jnp.array([0, -1]), num_heads=4)}, r"call\.heads wants numbers in \[0, 4\), got -1"),
        ({"call": Call(heads=jnp.array([0, 4]), num_heads=4)}, r"call\.heads wants numbers in \[0, 4\), got 4"),
        ({"call": _call(q_positions=[0, 1, 2], k_positions=[0, 1, 2])}, r"call\.q_positions wants an array, got list"),
        ({"call": Call(scale=0.01)}, r"call\.scale is what attend fills in .*; score=dot does without"),
        ({"call": Call(k_last=jnp.array([2]))}, r"call\.k_last is what attend fills in"),
        ({"call": Call(consecutive=True)}, r"call\.consecutive is what attend fills in"),
        ({"where": [[True]]}, "where wants an array, got list"),
        ({"query": jnp.ones((1, 3, 2, 0)), "key": jnp.ones((1, 3, 2, 0))}, "query and key want one channel or more"),
        ({"key": jnp.ones((1, 0, 2, 4)), "value": jnp.ones((1, 0, 2, 4)), "kernel": "chunkd"}, "unknown kernel 'chunkd'"),
        (
            {"query": jnp.ones((1, 0, 2, 4)), "kernel": "chunked", "return_weights": True},
            "kernel=chunked: it never holds all weights",
        ),
        ({"x": jnp.ones((1, 1, 8))}, r"x \[\*B T D\] of shape \(1, 1, 8\) is not of the tokens \(1, 3\)"),
        (
            {"call": Call(jnp.arange(3) + 7), "encoding": "rope"},
            "encoding=rope reads positions, and where 3 queries stand among 3",
        ),
        ({"kernel": "chunked", "return_weights": True}, "kernel=chunked: it never holds all weights"),
    ],
)
def test_what_would_be_spread_guessed_or_ignored(options, message):
    _refused(message, **options)


@pytest.mark.parametrize("T", [1, 5])
def test_a_cache_wants_positions(T):
    """Queries that stand at the end of their keys give what they gave among the others; without positions they are refused."""
    query, key, value = inputs(T=7, S=7)
    options = {"encoding": "rope + alibi", "mask": "causal", "normalizer": "pos_temp(floor=2)"}
    whole = attention.attend(query, key, value, **options)
    call = Call(jnp.arange(7 - T, 7), jnp.arange(7))
    np.testing.assert_allclose(attention.attend(query[:, -T:], key, value, call=call, **options), whole[:, -T:], atol=1e-6)
    for kind, spec in options.items():
        with pytest.raises(
            ValueError, match=f"{kind}=.* reads positions, and where {T} queries stand among 7 keys has to be said"
        ):
            attention.attend(query[:, -T:], key, value, call=Call(jnp.arange(7 - T, 7)), **{kind: spec})
    assert attention.attend(query[:, -T:], key, value).shape == (2, T, 4, 8)


@pytest.mark.parametrize("kernel", ["dense", "chunked", "auto"])
@pytest.mark.parametrize(
    "options", [{}, {"encoding": "alibi", "mask": "causal"}, {"normalizer": "sparsemax", "score": "cosine"}]
)
@pytest.mark.parametrize("size", ["B", "T", "S", "N"])
def test_arrays_without_elements(size, options, kernel):
    """Empty of their shape, and zeros where queries have no keys; gradients too."""
    sizes = {"B": 2, "T": 3, "S": 3, "N": 4, "K": 2} | {size: 0} | ({"K": 0} if size == "N" else {})
    arrays = inputs(H=8, **sizes)
    own = {"score": params_of(score="cosine")["score"]} if "score" in options else {}
    call = Call(jnp.arange(sizes["T"]), jnp.arange(sizes["S"]))
    run = lambda *arrays: attention.attend(*arrays, params=own, call=call, kernel=kernel, **options)
    output = run(*arrays)
    assert output.shape == arrays[0].shape
    assert not output.any()
    for gradient, array in zip(jax.grad(lambda *a: jnp.sum(run(*a)), (0, 1, 2))(*arrays), arrays):
        assert gradient.shape == array.shape
        assert not gradient.any()
    if kernel == "auto":
        weights = attention.attend(*arrays, params=own, call=call, return_weights=True, **options)[1]
        assert weights.shape == (sizes["B"], sizes["N"], sizes["T"], sizes["S"])


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("normalizer", ["softmax", "sparsemax", "entmax15", "sigmoid", "differential", "softcap(cap=5.0)"])
def test_minus_infinity_masks(normalizer, kernel, small_blocks):
    """A bias of -inf is a masked pair: the same as ``where``, and a row of it gives zeros without a gradient."""
    query, key, value = inputs(T=20, S=20)
    where = jnp.asarray(np.random.default_rng(3).random((2, 1, 20, 20)) > 0.5).at[:, :, 3].set(False)
    params = {k: v for k, v in params_of(normalizer=normalizer).items() if v}
    options = {"normalizer": normalizer, "params": params, "kernel": kernel}

    @jit
    def both(query, key, value, bias):
        def run(**given):
            loss = lambda *arrays: jnp.sum(jnp.cos(attention.attend(*arrays, **given, **options)))
            return attention.attend(query, key, value, **given, **options), jax.grad(loss, (0, 1, 2))(query, key, value)

        gradient = jax.grad(lambda bias: jnp.sum(attention.attend(query, key, value, bias=bias, **options) ** 2))(bias)
        return run(bias=bias), run(where=where), gradient

    ours, wanted, gradient = both(query, key, value, jnp.where(where, 0.0, -jnp.inf))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours, wanted)
    assert not ours[0][:, 3].any()
    assert not ours[1][0][:, 3].any()
    assert np.isfinite(gradient).all()
    assert not gradient[~where].any()


@pytest.mark.parametrize("normalizer", ["softmax", "sigmoid", "sink", "softmax1"])
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16])
def test_wide_numbers_in_blocks_of_keys(normalizer, dtype, monkeypatch):
    """With JAX_ENABLE_X64 too, whatever the type of the arrays, keys one block after another give what all at once give."""
    monkeypatch.setattr(chunked, "STREAM_ELEMENTS", 0)
    monkeypatch.setattr(chunked, "STREAM_KEYS", 8)
    with jax.enable_x64(True):
        arrays = [jnp.asarray(array, dtype) for array in inputs(T=20, S=20)]
        run = lambda kernel: attention.attend(
            *arrays, kernel=kernel, normalizer=normalizer, params=params_of(normalizer=normalizer)
        )
        found = run("chunked")
        assert found.dtype == dtype
        np.testing.assert_allclose(found, run("dense"), atol={jnp.float64: 1e-12, jnp.float32: 1e-6, jnp.bfloat16: 3e-2}[dtype])


def test_switches_of_jax():
    """What changes types or checks: the same numbers, or one line."""
    query, key, value = inputs(T=5, S=5)
    options = {"encoding": "rope + t5", "normalizer": "entmax15", "mask": "causal", "params": params_of(encoding="rope + t5")}
    run = lambda: attention.attend(query, key, value, **options)
    wanted = run()
    for switch in (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("strict"),
        jax.checking_leaks(),
        jax.debug_nans(True),
    ):
        with switch:
            np.testing.assert_allclose(run(), wanted, atol=1e-6)
    for switch, message in (
        (jax.debug_infs(True), "jax_debug_infs stops at the -inf that stand for masked keys"),
        (jax.numpy_rank_promotion("raise"), "jax_numpy_rank_promotion='raise' forbids"),
    ):
        with switch, pytest.raises(ValueError, match=message):
            run()

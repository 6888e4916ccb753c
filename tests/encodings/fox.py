"""Evidence of the forgetting transformer's bias."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.encodings import D, H, N, added, built, pairs, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.row import Row


def form(direction="causal"):
    def terms(q, k, params, i, j, scale, x, text):
        def log_gate(name, n, c):
            gate = params[name]
            return -math.log1p(math.exp(-(x[c] @ gate["kernel"][:, n] + gate["bias"][n]))) if text[c] else 0.0

        def term(n, a, b):
            if b > a:
                return sum(log_gate("later", n, c) for c in range(a + 1, b + 1)) if direction == "both" else 0.0
            return sum(log_gate("earlier", n, c) for c in range(b + 1, a + 1))

        return pairs(q, k, term)

    return added(terms)


def oracles():
    from tests.support.encoding_oracles import C, DataDependentAlibi, X, torch
    from tests.support.witness import Witness

    def witness(both):
        module = DataDependentAlibi(C.D, C.N, causal=not both).double()
        record = attention.build("encoding", "fox(direction=both)" if both else "fox")
        heads = C.N * (1 + both)

        def theirs(x, kernel, bias):
            given = {"to_forget_gates.0.weight": kernel, "to_forget_gates.0.bias": bias}
            found = torch.func.functional_call(module, given, (x,))
            return found if both else found.tril()

        def ours(x, kernel, bias):
            split = lambda i: slice(i * C.N, (i + 1) * C.N)
            names = ("earlier", "later")[: 1 + both]
            own = {name: {"kernel": kernel[split(i)].T, "bias": bias[split(i)]} for i, name in enumerate(names)}
            query, call = jnp.zeros((C.B, C.T, C.N, C.H)), Call()
            return record.bias(own, *record.prepare(own, x, query, query, call), call)

        return Witness(ours, theirs, (X, C.normal(40, heads, C.D), C.normal(41, heads)))

    return {"x-transformers DataDependentAlibi": witness(False), "x-transformers DataDependentAlibi, both": witness(True)}


def picture():
    from tools.kinds.encoding_maps import contents

    return contents("fox(bias=1)", heads=(1, 2, 3, 4))


ROW = Row(
    "fox",
    {"direction": "both", "bias": "2.0"},
    EncodingEvidence(
        (
            EncodingCase("fox", scores=form(), mask="causal"),
            EncodingCase("fox(direction=both)", scores=form("both")),
        ),
        oracles,
        (0, N * (D + 1)),
        mask="causal",
        by_position=False,
        one_sequence=True,
        picture=picture,
        errors={"fox(direction=left)": "'causal', 'both'", "fox(bias=much)": "a number, got 'much'"},
    ),
)


def test_constant_gates_are_alibi():
    """Forgetting the same everywhere is a slope; forgetting nothing is no bias at all."""
    slopes = attention.alibi_slopes(N)
    log_gates = jnp.broadcast_to(-slopes, (7, N))
    wanted = attention.alibi_bias(jnp.arange(7), jnp.arange(7), jnp.asarray(slopes))
    np.testing.assert_allclose(attention.forgetting_bias(log_gates, log_gates), wanted, atol=1e-5)
    np.testing.assert_allclose(attention.forgetting_bias(log_gates), np.tril(wanted), atol=1e-5)
    np.testing.assert_array_equal(attention.forgetting_bias(jnp.zeros((7, N))), 0.0)


def test_start():
    gates = starts("fox(direction=both, bias=3)")
    np.testing.assert_array_equal([gates["earlier"]["bias"], gates["later"]["bias"]], np.full((2, N), 3.0))
    assert not np.allclose(gates["earlier"]["kernel"], gates["later"]["kernel"])
    np.testing.assert_array_equal(starts("fox")["earlier"]["bias"], np.full(N, 5.0))


def test_it_reads_the_input():
    record, params = built("fox")
    x = jnp.ones((3, N, H))
    with pytest.raises(ValueError, match=r"fox reads the layer's input: give attend its x \[\*B T D\]"):
        attention.attend(x, x, x, encoding=record, params={"encoding": params}, mask="causal")

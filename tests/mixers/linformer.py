"""Evidence of keys and values projected along the text."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.helpers import float64, normal
from tests.support.mixers import HEADS, MHA, D, L, T, flat, made, of_heads, outputs, softmax, states, witness
from tests.support.row import Row


def reference(own, x, memory, causal=False):
    E, F = (own[name][: len(memory)] for name in (("table",) * 2 if "table" in own else ("key_table", "value_table")))
    head = lambda q, k, v, causal: softmax(q @ (E.T @ k).T / math.sqrt(q.shape[-1])) @ (F.T @ v)
    return of_heads(head)(own, x, memory)


def oracles():
    from tests.support.oracle_mixer_packages import LinformerSelfAttention
    from tests.support.oracle_packages import torch

    def theirs(share):
        def apply(x, p):
            module = LinformerSelfAttention(D, 24, k=3, heads=2, share_kv=False).double()
            tables = ("table", "table") if share else ("key_table", "value_table")
            given = {f"to_{name[0]}.weight": flat(p[name]) for name in ("query", "key", "value")}
            given |= {"proj_k": p[tables[0]], "proj_v": p[tables[1]]}
            given |= {"to_out.weight": p["output"]["kernel"].flatten(0, 1).T, "to_out.bias": torch.zeros(D, dtype=x.dtype)}
            return torch.func.functional_call(module, given, (x[None],))[0]

        return apply

    return {
        "linformer": witness("linformer(heads=2, rank=3, bias=False)", theirs(False)),
        "linformer, one table": witness("linformer(heads=2, rank=3, bias=False, share=kv)", theirs(True)),
    }


CASES = (
    MixerCase("linformer(heads=2, rank=3)", reference, MHA + 2 * L * 3, ordered=True, max_length="dims"),
    MixerCase("linformer(heads=2, rank=3, share=kv)", reference, MHA + L * 3, ordered=True, max_length="dims"),
)
REFUSED = (({"mask": "causal"}, "mixer=linformer with mask=causal: it uses no mask"),)
ERRORS = {"linformer(rank=0)": "rank must be >= 1, got 0"}
ROW = Row(
    "linformer(heads=2, rank=3)",
    {**HEADS, "rank": "5", "share": "kv"},
    MixerEvidence(CASES, oracles, ("normalizer",), REFUSED, ERRORS),
)


def test_with_identities_it_is_attention():
    own = made("attention(heads=2)")[2]
    x = states()
    eye = {"key_table": jnp.eye(L)[:, :T], "value_table": jnp.eye(L)[:, :T]}
    found = outputs(f"linformer(heads=2, rank={T})", {**own, **eye}, x)
    np.testing.assert_allclose(found, outputs("attention(heads=2)", own, x), atol=1e-6)


def test_the_function_by_hand():
    """The mixer goes by way of `attend`: two tables, padding and the scale, token by token."""
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

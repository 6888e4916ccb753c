"""Evidence of DAPE."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.encodings import alibi, fire, kerple, table
from tests.support.encodings import N, biased, mlp
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import init, inputs, shared_and_own
from tests.support.row import Row

W = 5


def form(name, bias):
    """``s + B + MLP([s; B])`` of every pair, over the heads."""

    def scores(q, k, params, i, j, scale, x, text):
        products = np.einsum("tnh,snh->nts", q, k) * scale
        inner = bias(q, k, params.get("inner", {}), i, j, scale, x, text) - products
        found = products + inner
        for a, b in np.ndindex(found.shape[1:]):
            both = [*products[:, a, b], *inner[:, a, b]]
            found[:, a, b] += [mlp(params, both, h, lambda z: z if z > 0 else 0.01 * z) for h in range(len(found))]
        return found

    return EncodingCase(f"dape(inner={name}, width={W})", scores=scores, far="table" not in name and "fire" not in name)


def oracles():
    from tests.support.encoding_oracles import MLP, POSITIONS, B, torch, tree, x_alibi
    from tests.support.witness import FLOAT32, Witness

    record = attention.build("encoding", "dape(inner=alibi, width=5)")

    def ours(scores, p, *own):
        params, call, x = tree(MLP, own), Call(p, p), jnp.zeros((B.B, B.T, B.N, 8))
        return record.modify(params, scores, *record.prepare(params, None, x, x, call), call)

    def theirs(scores, p, first, first_bias, out, out_bias):
        layers = torch.nn.Sequential(torch.nn.Linear(2 * B.N, W), torch.nn.LeakyReLU(), torch.nn.Linear(W, B.N))
        given = {"0.weight": first.T, "0.bias": first_bias, "2.weight": out.T, "2.bias": out_bias}
        both = torch.cat([scores, x_alibi()], dim=1).permute(0, 2, 3, 1)
        return scores + x_alibi() + torch.func.functional_call(layers, given, (both,)).permute(0, 3, 1, 2)

    own = (B.normal(1, 2 * B.N, W), B.normal(2, W), B.normal(3, W, B.N), B.normal(4, B.N))
    return {"torch.nn.Sequential": Witness(ours, theirs, (B.normal(0, B.B, B.N, B.T, B.T), POSITIONS, *own), FLOAT32)}


def picture():
    from tools.kinds.encoding_maps import contents

    return contents("dape", heads=(3, 4))


SPEC = f"dape(inner=kerple, width={W})"
ROW = Row(
    SPEC,
    {"inner": "alibi", "width": "7"},
    EncodingEvidence(
        (
            form("kerple", biased(kerple.log)),
            form("alibi", alibi.form("symmetric")),
            form("fire(width=5)", fire.form()),
            form("table(window=9)", biased(table.form(9))),
        ),
        oracles,
        (0, 2 * N + (2 * N + 1) * W + (W + 1) * N),
        directed=False,
        picture=picture,
        errors={
            "dape(width=0)": "width must be >= 1, got 0",
            "dape(inner=rope)": "inner must be an encoding that adds a bias to the scores, and that alone",
            "dape(inner=dape())": "inner must be an encoding that adds a bias to the scores, and that alone",
            "dape(inner=alibi + rope)": "inner must be an encoding that adds a bias to the scores, and that alone",
        },
    ),
)


def test_without_its_network_it_is_the_inner_bias():
    record, inner = attention.build("encoding", "dape"), attention.build("encoding", "kerple")
    params = init(record)
    own = {**params, "out": jax.tree.map(jnp.zeros_like, params["out"])}
    query, key, value = inputs(T=9, S=9)
    run = lambda encoding, own: attention.attend(query, key, value, encoding=encoding, params={"encoding": own})
    np.testing.assert_allclose(run(record, own), run(inner, own["inner"]), atol=1e-5)


def test_parameters_nest():
    """The inner parameters, shared and own, lie under "inner"; what the inner one is and does stays."""
    record = attention.build("encoding", "dape(inner=fire(shared=True), width=5)")
    shared, own = shared_and_own(record)
    assert set(shared) == {"inner"}
    assert set(own) == {"in", "out"}
    assert set(init(attention.build("encoding", "dape"))["inner"]) == {"r1", "r2"}
    assert (record.reads, record.claims.extrapolates, record.needs_causal) == ("block", True, False)
    assert attention.build("encoding", "dape(inner=fire(bidirectional=False))").needs_causal


def test_what_the_inner_one_hides_stays_hidden():
    record = attention.build("encoding", "dape(inner=table(window=3))")
    query, key, value = inputs(T=9, S=9)
    options = {"encoding": record, "params": {"encoding": init(record)}, "return_weights": True}
    found = attention.attend(query, key, value, **options)[1]
    near = np.abs(np.subtract.outer(range(9), range(9))) < 3
    assert np.array_equal(found > 0, np.broadcast_to(near, found.shape))

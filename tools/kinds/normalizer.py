"""The parts of ``docs/normalizers.md`` that are made of numbers: facts, costs, and what the slips do."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import attention
from docs.figures import _normalizers as data
from docs.figures import _page
from docs.figures._page import plain, ratio, table

PAGE = Path(__file__).parent.parent / "normalizers.md"
COSTS = Path(__file__).parent / "normalizers.json"
# Sizes that tell apart what parameters are counted by: heads, and numbers per head.
HEADS, HEAD_DIM = 3, 5
COUNTS = {
    0: "no parameters",
    HEADS: "1 parameter per head",
    HEAD_DIM: "H parameters",
    2 * HEAD_DIM: "2 H parameters",
    4 * HEAD_DIM: "4 H parameters",
    2 * HEADS * HEAD_DIM: "2 N H parameters",
}


def refreshed(text: str) -> str:
    """The page with its facts, tables and slips made anew."""
    make = {"facts": facts, "table": lambda name: TABLES[name](), "slip": lambda name: SLIPS[name]()}
    return _page.refreshed(text, make)


def facts(name: str) -> str:
    """The line of facts of a normalizer, from its record, and its costs, from the benchmark."""
    record = attention.build("normalizer", name)
    words = [
        {"one": "rows sum to 1", "at most one": "rows sum to at most 1", "any": "rows sum to anything"}[record.row_sum],
        "exact zeros" if record.exact_zeros else "no exact zeros",
        *(["signed"] if record.signed else []),
        "shift-invariant" if record.shift_invariant else "not shift-invariant",
        parameters(name),
        reads(record),
        *(["causal only"] if record.needs_causal else []),
        *(["random in training"] if record.random else []),
    ]
    costs = "; ".join(f"`{spec}` {ratio(forward)} / {ratio(both)}" for spec, forward, both in _costs(name))
    return f"{' · '.join(words)}.<br>\nCost: {costs}."


def parameters(name: str) -> str:
    """How many parameters a layer has by default."""
    init = attention.build("normalizer", name).init
    dims = attention.Dims(HEADS, HEADS, HEAD_DIM, HEADS * HEAD_DIM, max_length=64)
    trees = [init(jax.random.key(0), dims._replace(layer=layer)) for layer in (None, 0)]
    return COUNTS[sum(leaf.size for leaf in jax.tree.leaves(trees))]


def reads(record: attention.Normalizer) -> str:
    """What of the scores it has to see at once."""
    if record.reads == "all":
        return "needs the whole matrix"
    return "needs whole rows" if record.streaming is None else "streams"


def _costs(name: str) -> list[tuple[str, float, float]]:
    """(spec, forward, forward and backward) of the cases of a normalizer, masked, at the first shape."""
    forward, both = (
        _page.groups(COSTS, beside="jax.nn.softmax", masked=True, backward=backward, shape=[8, 8, 512, 512])[0]["cases"]
        for backward in (False, True)
    )
    pairs = zip(forward, both, strict=True)
    return [(one["name"], one["ratio"], two["ratio"]) for one, two in pairs if one.get("normalizer") == name]


def _overview() -> str:
    def row(name: str) -> list[str]:
        record = attention.build("normalizer", name)
        _, forward, both = _costs(name)[0]
        return [
            f"[`{name}`](#{name})",
            {"one": "1", "at most one": "≤ 1", "any": "any"}[record.row_sum],
            "yes" if record.exact_zeros else "",
            "yes" if record.signed else "",
            "yes" if record.shift_invariant else "",
            parameters(name).replace(" parameters", "").replace(" parameter", "").replace("no", ""),
            reads(record).replace("needs ", "").replace("the ", ""),
            ratio(forward),
            ratio(both),
        ]

    head = ["", "row sum", "zeros", "signed", "shift-invariant", "parameters", "kernel", "forward", "forward + backward"]
    return table(head, (row(name) for name in attention.names("normalizer")))


def _goldens() -> str:
    """The weights of the figures in numbers, so that another implementation can be checked against them."""
    rows = ([f"`{name}`", data.ROWS[name].label, *plain(data.numbers(name).weights, 4)] for name in sorted(data.ROWS))
    return table(["", "as shown", *(f"{score:g}" for score in data.SCORES)], rows)


def _sum_slip() -> str:
    z, rows = jnp.array(data.SCORES), []
    for shift in (0.0, -0.8, -0.85, -0.87, 10.0):
        rows.append([f"scores {shift:+g}" if shift else "scores", *plain(attention.sum_norm(z + shift), 2)])
    rows.append(["softmax of any of them", *plain(attention.softmax(z), 2)])
    return table(["", *(f"{score:g}" for score in data.SCORES)], rows)


def _product_slip() -> str:
    weights = attention.softmax(jnp.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [2.0, 0.0, 2.0]]))
    values = jnp.array([[1.0, 0.0, 0.0], [0.0, 10.0, 0.0], [0.0, 0.0, 100.0]])
    rows = []
    for i in range(3):
        cells = [", ".join(plain(x[i], 2)) for x in (weights, values, weights @ values, weights * values)]
        rows.append([str(i + 1), *cells])
    return table(["token", "weights", "value", "a V", "a ⊙ V"], rows)


def _sigmoid_slip() -> str:
    rows = []
    for n in (5, 64, 512, 2048):
        scores = jnp.zeros(n).at[0].set(20.0)
        inside = attention.softmax(jax.nn.sigmoid(scores))[0]
        bound = np.e / (np.e + n - 1)
        rows.append([str(n), f"{attention.softmax(scores)[0]:.4f}", f"{inside:.4f}", f"{bound:.4f}"])
    return table(["keys", "softmax(s)", "softmax(σ(s))", "bound e / (e + n - 1)"], rows)


def _measured() -> str:
    return _page.measured(
        COSTS,
        "scores [8, 8, 512, 512] in float32, a random mask that allows 80 %",
        "`python -m benchmarks.normalizers` has them unmasked, longer, and with their targets.",
    )


TABLES = {"overview": _overview, "goldens": _goldens, "measured": _measured}
SLIPS = {"sum": _sum_slip, "product": _product_slip, "sigmoid": _sigmoid_slip}

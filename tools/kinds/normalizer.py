"""Facts, tables and pictures of ``docs/normalizers.md``."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tools import rows
from tools.kinds import normalizer_figures as figures
from tools.kinds import normalizer_weights as weights
from tools.markdown import NOT_MEASURED, groups, link, measured, plain, ratio, table
from tools.parameters import count, formula
from tools.sections import Section

DECIMALS = 3


def picture(name: str) -> weights.Shown:
    """What the evidence says, or the weights with default options."""
    return rows.picture("normalizer", name) or weights.shown(name)


def generated(found: Section) -> list[str]:
    """What a section has beside its text: the picture, facts of the record, costs of the benchmark."""
    name, record = found.name, attention.build("normalizer", found.name)
    claims, costs = record.claims, _costs(name)
    words = [
        {"one": "rows sum to 1", "at most one": "rows sum to at most 1", "any": "rows sum to anything"}[claims.row_sum],
        "exact zeros" if claims.exact_zeros else "no exact zeros",
        *(["signed"] if claims.signed else []),
        "shift-invariant" if claims.shift_invariant else "not shift-invariant",
        _parameters(record),
        _reads(record),
        *(["causal only"] if record.needs_causal else []),
        *(["random in training"] if claims.random else []),
    ]
    cost = "; ".join(f"`{spec}` {ratio(forward)} / {ratio(both)}" for spec, forward, both in costs) or NOT_MEASURED
    return [f"![{picture(name).label}](figures/normalizers/{name}.svg)", f"{' · '.join(words)}.<br>\nCost: {cost}."]


def _parameters(record: attention.Normalizer) -> str:
    found = formula(record.init)
    return "no parameters" if found == "0" else f"{found or count(record.init)} parameters per layer"


def _reads(record: attention.Normalizer) -> str:
    """What of the scores it has to see at once."""
    if record.reads == "all":
        return "needs the whole matrix"
    return "needs whole rows" if record.streaming is None else "streams"


def _costs(name: str) -> list[tuple[str, float, float]]:
    """(spec, forward, forward and backward) of the cases of a normalizer, masked, at the first shape."""
    forward, both = (
        groups("normalizer", beside="jax.nn.softmax", masked=True, backward=backward, shape=[8, 8, 512, 512])[0]["cases"]
        for backward in (False, True)
    )
    pairs = zip(forward, both, strict=True)
    return [(one["name"], one["ratio"], two["ratio"]) for one, two in pairs if one.get("normalizer") == name]


def _overview() -> str:
    def row(name: str) -> list[str]:
        record, costs = attention.build("normalizer", name), _costs(name)
        claims = record.claims
        return [
            link(name),
            {"one": "1", "at most one": "≤ 1", "any": "any"}[claims.row_sum],
            "yes" if claims.exact_zeros else "",
            "yes" if claims.signed else "",
            "yes" if claims.shift_invariant else "",
            "" if record.init is None else str(formula(record.init) or count(record.init)),
            _reads(record).replace("needs ", "").replace("the ", ""),
            *([ratio(each) for each in costs[0][1:]] if costs else [NOT_MEASURED] * 2),
        ]

    head = ["", "row sum", "zeros", "signed", "shift-invariant", "parameters", "kernel", "forward", "forward + backward"]
    return table(head, (row(name) for name in attention.names("normalizer")))


def _goldens() -> str:
    """The weights of the figures in numbers, so that another implementation can be checked against them."""
    found = {name: picture(name) for name in attention.names("normalizer")}
    lines = (
        [f"`{name}`", shown.label, *plain(weights.numbers(shown).weights, 4)]
        for name, shown in found.items()
        if not shown.coupled
    )
    return table(["", "as shown", *(f"{score:g}" for score in weights.SCORES)], lines)


def _sum_slip() -> str:
    z, lines = jnp.array(weights.SCORES), []
    for shift in (0.0, -0.8, -0.85, -0.87, 10.0):
        lines.append([f"scores {shift:+g}" if shift else "scores", *plain(attention.sum_norm(z + shift), 2)])
    lines.append(["softmax of any of them", *plain(attention.softmax(z), 2)])
    return table(["", *(f"{score:g}" for score in weights.SCORES)], lines)


def _product_slip() -> str:
    a = attention.softmax(jnp.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [2.0, 0.0, 2.0]]))
    values = jnp.array([[1.0, 0.0, 0.0], [0.0, 10.0, 0.0], [0.0, 0.0, 100.0]])
    lines = []
    for i in range(3):
        cells = [", ".join(plain(x[i], 2)) for x in (a, values, a @ values, a * values)]
        lines.append([str(i + 1), *cells])
    return table(["token", "weights", "value", "a V", "a ⊙ V"], lines)


def _sigmoid_slip() -> str:
    lines = []
    for n in (5, 64, 512, 2048):
        scores = jnp.zeros(n).at[0].set(20.0)
        inside = attention.softmax(jax.nn.sigmoid(scores))[0]
        bound = np.e / (np.e + n - 1)
        lines.append([str(n), f"{attention.softmax(scores)[0]:.4f}", f"{inside:.4f}", f"{bound:.4f}"])
    return table(["keys", "softmax(s)", "softmax(σ(s))", "bound e / (e + n - 1)"], lines)


def _measured() -> str:
    return measured(
        "normalizer",
        "scores [8, 8, 512, 512] in float32, a random mask that allows 80 %",
        "`python -m benchmarks.normalizers` has them unmasked, longer, and with their targets.",
    )


TABLES: dict[str, Callable[[], str]] = {
    "overview": _overview,
    "goldens": _goldens,
    "measured": _measured,
    "sum": _sum_slip,
    "product": _product_slip,
    "sigmoid": _sigmoid_slip,
}


def figure(name: str) -> Any:
    """The picture of a variant."""
    return figures.of(picture(name))


def overview(words: dict[str, list[str]]) -> Any:
    """A figure of the page as a whole: by title the specs whose weight is drawn as a curve."""
    return figures.curves(words)

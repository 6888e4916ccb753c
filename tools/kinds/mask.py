"""Facts, tables and pictures of ``docs/masks.md``."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

import attention
from attention import specs
from tools import rows
from tools.markdown import NOT_MEASURED, groups, link, measured, table
from tools.plots import BLUE, GREY, plt
from tools.sections import Section, sections

DECIMALS = 2
SIZE = 16
SEGMENTS = np.repeat(np.arange(3), (5, 7, 4))


def generated(found: Section) -> list[str]:
    """What a section has beside its text: the picture and the costs of the benchmark."""
    name = found.name
    mine = [case for case in _cases() if any(specs.parse(term).name == name for term in case["name"].split(" & "))]
    costs = "; ".join(f"`{case['name']}` {case['ratio']:.2f}" for case in mine)
    causal = "no query sees a later key" if attention.build("mask", name).causal else "later keys may be seen"
    return [f"![{name}](figures/masks/{name}.svg)", f"{causal}.<br>\nTime beside `full`: {costs or NOT_MEASURED}."]


def shown(name: str) -> list[str]:
    """Specs that show what a mask does in a text of 16: those of its evidence."""
    evidence = rows.evidence("mask", name)
    return list(rows.picture("mask", name) or ([case.spec for case in evidence.cases] if evidence else [name]))


def pairs(spec: str) -> np.ndarray:
    """Who may attend to whom, bool ``[16 16]``."""
    apply = attention.build("mask", spec).apply
    call = attention.Call(q_segments=jnp.asarray(SEGMENTS), k_segments=jnp.asarray(SEGMENTS))
    found = None if apply is None else apply(call, (SIZE, SIZE))
    return np.ones((SIZE, SIZE), bool) if found is None else np.asarray(found[0])


def figure(name: str) -> Any:
    """The pictures of a variant, one per spec."""
    return overview(shown(name))


def overview(words: Sequence[str]) -> Any:
    """Masks as grids, queries from top to bottom and keys from left to right, five to a row."""
    lines = -(-len(words) // 5)
    made, panels = plt.subplots(lines, 5, figsize=(8.6, 2.0 * lines), squeeze=False)
    for axes, spec in zip(panels.flat, words):
        _grid(axes, pairs(spec), spec)
    for axes in panels.flat[len(words) :]:
        axes.set_axis_off()
    panels[0, 0].set_ylabel("query")
    panels[0, 0].set_xlabel("key")
    return made


def _grid(axes: Any, allowed: np.ndarray, title: str) -> None:
    """Runs of allowed keys as bars, row by row, so that the file stays small."""
    for i, row in enumerate(allowed):
        edges = np.flatnonzero(np.diff(row.astype(int), prepend=0, append=0))
        axes.broken_barh(np.stack([edges[::2], edges[1::2] - edges[::2]], axis=1), (i, 1), color=BLUE, linewidth=0)
    along, ends = np.repeat(np.arange(SIZE + 1.0), 3), np.tile([0.0, SIZE, np.nan], SIZE + 1)
    lines = np.concatenate([[along, ends], [ends, along]], axis=1)
    axes.plot(*lines, color=GREY, linewidth=0.3, clip_on=False)
    axes.set(xlim=(0, SIZE), ylim=(SIZE, 0), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    title = title.replace("& ", "&\n") if "&" in title else title.replace("(", "\n(", 1)
    axes.set_title(title, fontsize=7.5, family="monospace")


def _cases() -> list[dict[str, Any]]:
    """The cases of the longest length measured."""
    return max(groups("mask"), key=lambda group: group["length"])["cases"]


def _overview() -> str:
    lines = ([link(each.name), each.labels["Allowed"], each.labels["Sees"]] for each in sections("mask"))
    return table(["mask", "allowed", "a query sees"], lines)


def _costs() -> str:
    """Time beside ``full``, scores computed, and pairs allowed, at the longest length measured."""
    length = max(group["length"] for group in groups("mask"))
    share = lambda value: f"{100 * value:.1f} %"
    lines = [
        (f"`{case['name']}`", f"{case['ratio']:.2f}", share(case["computed"]), share(case["allowed"])) for case in _cases()
    ]
    more = "`python -m benchmarks.masks --keep_freed_memory` makes it."
    what = f"the chunked kernel at T = {length}, forward and backward"
    return f"{table(('mask', 'time / `full`', 'computed', 'allowed'), lines)}\n\n{measured('mask', what, more)}"


TABLES: dict[str, Callable[[], str]] = {"overview": _overview, "costs": _costs}

"""The parts of ``docs/encodings.md`` that are made of numbers: facts, costs, and what the slips do."""

import dataclasses
import functools
import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention import specs as variants
from attention.attend import positioned
from attention.records import Dims
from docs.figures import _encodings as data
from docs.figures import _encodings_slips as slips
from docs.figures import _page
from docs.figures._page import ratio, table

PAGE = Path(__file__).parent.parent / "encodings.md"
COSTS = Path(__file__).parent / "encodings.json"
T = 24
SMALL = Dims(4, 4, 8, 32, num_layers=4, max_length=64, vocab_size=11)
# Where parameters are counted, and another size that must give the same formula.
SIZES = (Dims(8, 8, 32, 256, num_layers=4, max_length=512, vocab_size=1000), Dims(6, 6, 10, 60, max_length=81, vocab_size=7))
NO_HOOKS = attention.Encoding()
Count = tuple[str, Callable[[Dims], int]]


def _mixtures(dims: Dims) -> int:
    frequencies = 10000.0 ** (-np.arange(0, dims.head_dim, 2) / dims.head_dim)
    F = int((frequencies >= 2 * math.pi / (dims.max_length or 0)).sum())
    return 2 * dims.num_heads * F * min(F, dims.head_dim // 4)


def _axial(dims: Dims) -> int:
    first = math.isqrt((dims.max_length or 1) - 1) + 1
    return first * (dims.model_dim - dims.model_dim // 2) + -(-(dims.max_length or 1) // first) * (dims.model_dim // 2)


# What the layers share, and what each has, with default options; checked against the records.
SHARED: dict[str, Count] = {
    "learned": ("L D", lambda d: (d.max_length or 0) * d.model_dim),
    "learned_fourier": ("65½ D + 32", lambda d: 131 * d.model_dim // 2 + 32),
    "axial": ("about √L D", _axial),
    "complex_order": ("V D", lambda d: (d.vocab_size or 0) * d.model_dim),
    "cpe": ("4 D", lambda d: 4 * d.model_dim),
    "linear": ("D", lambda d: d.model_dim),
    "t5": ("32 N", lambda d: 32 * d.num_heads),
    "deberta": ("512 D", lambda d: 512 * d.model_dim),
    "tupe": ("L D + 2 D² + 2 D", lambda d: d.model_dim * ((d.max_length or 0) + 2 * d.model_dim + 2)),
}
OWN: dict[str, Count] = {
    "fope": ("2 N F G", _mixtures),
    "pope": ("D", lambda d: d.model_dim),
    "kerple": ("2 N", lambda d: 2 * d.num_heads),
    "fire": ("33 N + 66", lambda d: 33 * d.num_heads + 66),
    "dape": ("99 N + 32", lambda d: 99 * d.num_heads + 32),
    "table": ("127 N", lambda d: 127 * d.num_heads),
    "cpb": ("512 N + 1024", lambda d: 512 * d.num_heads + 1024),
    "tisa": ("15 N", lambda d: 15 * d.num_heads),
    "gaussian": ("2 N", lambda d: 2 * d.num_heads),
    "rel_matrix": ("N", lambda d: d.num_heads),
    "shaw": ("66 H", lambda d: 66 * d.head_dim),
    "transformer_xl": ("D² + 2 D", lambda d: d.model_dim * (d.model_dim + 2)),
    "music": ("L D", lambda d: (d.max_length or 0) * d.model_dim),
    "deberta": ("2 D²", lambda d: 2 * d.model_dim**2),
    "cope": ("64 H", lambda d: 64 * d.head_dim),
    "fox": ("N D + N", lambda d: d.num_heads * (d.model_dim + 1)),
    "tener": ("2 D", lambda d: 2 * d.model_dim),
}


def refreshed(text: str) -> str:
    """The page with its facts, tables and slips made anew."""
    make = {"facts": facts, "table": lambda name: TABLES[name](), "slip": lambda name: slips.SLIPS[name]()}
    return _page.refreshed(text, make)


class Found(NamedTuple):
    """What trying an encoding out shows, with its default options.

    Attributes:
      enters: where positions come in.
      goes_by: what decides: positions, their distances, their order, the order of the array, or nothing.
      blind: whether a text and the same text backwards are one, without a causal mask.
      random: whether positions are drawn in training.
    """

    enters: list[str]
    goes_by: str
    blind: bool
    random: bool


def facts(name: str) -> str:
    """The line of facts of an encoding, from its record, and its costs, from the benchmark."""
    record, found = attention.build("encoding", name), tried(name)
    words = [
        f"enters: {', '.join(found.enters)}",
        f"goes by {found.goes_by}",
        "causal only" if record.needs_causal else "blind to direction" if found.blind else "shows direction",
        parameters(name),
        limit(record) or "no limit on the length",
        *([f"scale 1/√({record.terms}H)"] if record.terms > 1 else []),
        "streams" if record.reads in ("nothing", "block") else f"needs whole {record.reads}",
        *(["random in training"] if found.random else []),
        "longer texts claimed" if record.extrapolates else "longer texts not claimed",
    ]
    return f"{textwrap.fill(' · '.join(words), 124)}.<br>\n{textwrap.fill(_cost_line(name), 128)}"


@functools.cache
def tried(name: str) -> Found:
    """What is found by looking at the hooks and by running them on a few random tokens."""
    record = attention.build("encoding", name)
    start, gaps = _output(record), np.cumsum(np.random.default_rng(1).integers(1, 3, T))
    same = lambda **options: np.allclose(_output(record, **options), start, atol=1e-4)
    blind = not record.needs_causal and same(backwards=True)
    if same(positions=np.random.default_rng(0).permutation(T)):
        decides = "nothing" if blind else "the order of the array"
    elif same(positions=gaps):
        decides = "the order of the positions"
    else:
        far = 20 if record.max_length else 5000  # some care for positions only far away
        decides = "distances" if same(positions=np.arange(T) + far) else "positions"
    drawn = [_moved(record, attention.Call(train=True, rng=jax.random.key(seed))).q_positions for seed in range(2)]
    moves = drawn[0] is not None
    enters = [*["positions"] * moves, *_hooks(record), *([] if same(layer=SMALL.num_layers - 1) else ["some layers"])]
    return Found(enters or ["nowhere"], decides, blind, moves and not np.array_equal(*drawn))


def _hooks(record: attention.Encoding) -> list[str]:
    """Where positions come in after that, by the hooks that do something."""
    acts = {name for name in NO_HOOKS._fields if getattr(record, name) is not getattr(NO_HOOKS, name)}
    found = []
    if "embed" in acts:
        found.append(f"states after block {record.depth}" if record.depth else "embeddings")
    if record.rotates:
        found.append("rotation")
    if acts & {"bias", "modify"}:
        found.append("content" if "modify" in acts or _reads_content(record) else "bias")
    return found + ["values"] * ("values" in acts) + ["mask"] * ("where" in acts)


def _reads_content(record: attention.Encoding) -> bool:
    """Whether the bias is made of what queries, keys or the layer's input hold."""
    x = jnp.zeros((T, SMALL.model_dim))
    heads = x.reshape(T, SMALL.num_heads, SMALL.head_dim)
    call = _complete(attention.Call(max_length=T))
    of_query, of_key, _ = jax.eval_shape(lambda: record.prepare(data.init(record, SMALL), x, heads, heads, call))
    return bool(jax.tree.leaves((of_query, of_key)))


def _complete(call: attention.Call) -> attention.Call:
    return dataclasses.replace(call, q_positions=jnp.arange(T), k_positions=jnp.arange(T))


def _moved(record: attention.Encoding, call: attention.Call) -> attention.Call:
    return positioned(record, data.init(record, SMALL), call, (T,), (T,))


def _output(
    record: attention.Encoding, positions: np.ndarray | None = None, backwards: bool = False, layer: int = 0
) -> np.ndarray:
    """Embeddings and one layer of attention on random tokens, off the starting values; masks do not see ``positions``."""
    params, step = data.init(record, SMALL), -1 if backwards else 1
    leaves, structure = jax.tree.flatten(params)
    params = jax.tree.unflatten(structure, [leaf + 0.3 * data.normal(*leaf.shape, seed=n) for n, leaf in enumerate(leaves)])
    at = None if positions is None else jnp.asarray(positions, jnp.int32)
    call = attention.Call(max_length=SMALL.max_length, layer=layer)
    moved = _moved(record, dataclasses.replace(call, q_positions=at, k_positions=at))
    x = record.embed(params, data.normal(T, SMALL.model_dim, seed=50)[::step], jnp.zeros(T, jnp.int32), moved)
    heads = x.reshape(T, SMALL.num_heads, SMALL.head_dim)
    options = {"params": {"encoding": params}, "x": x, "call": call, "encoding_call": moved, "kernel": "dense"}
    mask = "causal" if record.needs_causal else "full"
    return np.asarray(attention.attend(heads, heads, heads, encoding=record, mask=mask, **options))[::step]


def parameters(name: str) -> str:
    """How many parameters there are by default, as a formula and at the first of ``SIZES``."""
    init, parts = attention.build("encoding", name).init, []
    for formulas, layer, whose in ((SHARED, None, "shared by the layers"), (OWN, 0, "per layer")):
        counts = [_size(init, dims._replace(layer=layer)) for dims in SIZES]
        text, count = formulas.get(name, ("", lambda d: 0))
        assert counts == [count(dims) for dims in SIZES], f"{name} has {counts} parameters {whose}"
        if text:
            parts.append(f"{text} = {counts[0]:,} {whose}")
    return f"parameters {', '.join(parts)}" if parts else "no parameters"


def _size(init: Any, dims: Dims) -> int:
    shapes = jax.eval_shape(lambda rng: init(rng, dims), jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def limit(record: attention.Encoding) -> str:
    """How many positions there are, where a table says so."""
    found = record.max_length if isinstance(record.max_length, tuple) else (record.max_length,)
    words = ["L" if each == "dims" else f"{each:,}" for each in found if each is not None]
    return f"at most {' and '.join(words)} positions" if words else ""


def lengths() -> list[int]:
    """The lengths that the benchmark has."""
    return sorted({group["length"] for group in _page.groups(COSTS)})


def costs(spec: str) -> list[tuple[float, float]]:
    """Time relative to ``none``, and temporary MiB beyond it, at each length; [] for what was not measured."""
    found = []
    for group in sorted(_page.groups(COSTS), key=lambda group: group["length"]):
        cases = {case["name"]: case for case in group["cases"]}
        if spec in cases and (spec != "none" or group["title"].count("mask full")):
            more = cases[spec]["temporary_mib"] - cases["none"]["temporary_mib"]
            found.append((cases[spec]["ratio"], more))
    return found


def _cost_line(name: str) -> str:
    specs = [case["name"] for group in _page.groups(COSTS) for case in group["cases"]]
    mine = [spec for spec in dict.fromkeys(specs) if variants.parse(spec).name == name]
    each = "; ".join(f"`{spec}` {_times(spec)}, {_memory(spec)} MiB" for spec in mine)
    most = max(len(costs(spec)) for spec in mine)  # the largest lengths are measured for some alone
    return f"Cost at T = {' / '.join(map(str, lengths()[:most]))}: {each}."


def _times(spec: str) -> str:
    return " / ".join(f"{found:.2f}" if found < 10 else ratio(found) for found, _ in costs(spec))


def _memory(spec: str) -> str:
    return " / ".join(f"{more:+.0f}".replace("-0", "+0") for _, more in costs(spec))


def _overview() -> str:
    def row(name: str) -> list[str]:
        record, found = attention.build("encoding", name), tried(name)
        texts = [formulas[name][0] for formulas in (SHARED, OWN) if name in formulas]
        return [
            f"[`{name}`](#{name})",
            ", ".join(found.enters),
            " + ".join(texts) + (" shared" if name in SHARED and name not in OWN else ""),
            found.goes_by,
            "" if record.needs_causal else "blind" if found.blind else "shows",
            "yes" if record.needs_causal else "",
            limit(record).replace("at most ", "").replace(" positions", ""),
            "yes" if record.extrapolates else "",
            "streams" if record.reads in ("nothing", "block") else f"whole {record.reads}",
            _times(name),
            _memory(name),
        ]

    columns = ["enters", "parameters", "goes by", "direction", "causal only", "limit", "longer", "kernel", "time", "MiB"]
    return table(["", *columns], (row(name) for name in attention.names("encoding")))


def _sums() -> str:
    specs = [case["name"] for group in _page.groups(COSTS) for case in group["cases"]]
    sums = [spec for spec in dict.fromkeys(specs) if variants.parse(spec).name == "+"]
    alone = [[str(term) for term in variants.parse(spec).terms] for spec in sums]
    rows = (
        [f"`{spec}`", _times(spec), ", ".join(f"`{each}` {_times(each)}" for each in terms)] for spec, terms in zip(sums, alone)
    )
    return table(["sum", "time", "its terms alone"], rows)


def _measured() -> str:
    what = (
        "a training step of 4 layers, D = 256 and 8 heads, on 4096 / T texts of length T, beside the same model with `none`: "
        "the ratio of the times, and the temporary memory in MiB that comes on top"
    )
    more = "`python -m benchmarks.encodings` has them with their targets."
    return _page.measured(COSTS, what, more)


TABLES = {"overview": _overview, "sums": _sums, "measured": _measured}

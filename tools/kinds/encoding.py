"""Facts, tables and pictures of ``docs/encodings.md``."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import attention
from attention import specs
from tools import rows
from tools.kinds import encoding_figures as figures
from tools.kinds import encoding_maps as maps
from tools.kinds.encoding_slips import SLIPS
from tools.kinds.encoding_trials import tried
from tools.markdown import NOT_MEASURED, groups, link, measured, ratio, table
from tools.parameters import count, formula
from tools.sections import Section

DECIMALS = 3


def generated(found: Section) -> list[str]:
    """What a section has beside its text: the picture, facts of the record and of a trial, costs of the benchmark."""
    name, record, trial = found.name, attention.build("encoding", found.name), tried(found.name)
    words = [
        f"enters: {', '.join(trial.enters)}",
        f"goes by {trial.goes_by}",
        "causal only" if record.needs_causal else "blind to direction" if trial.blind else "shows direction",
        _parameters(name),
        _limit(record) or "no limit on the length",
        *([f"scale 1/√({record.terms}H)"] if record.terms > 1 else []),
        "streams" if record.reads == "block" else f"needs whole {record.reads}",
        *(["random in training"] if trial.random else []),
        "longer texts claimed" if record.claims.extrapolates else "longer texts not claimed",
    ]
    facts = f"{textwrap.fill(' · '.join(words), 124)}.<br>\n{textwrap.fill(_cost_line(name), 128)}"
    return [f"![{name}](figures/encodings/{name}.svg)", facts]


def _parameters(name: str) -> str:
    found = [f"{text} = {number:,} {whose}".removeprefix(f"{number:,} = ") for text, number, whose in _counts(name)]
    return f"parameters {', '.join(found)}" if found else "no parameters"


def _counts(name: str) -> list[tuple[str, int, str]]:
    """(formula, count, whose) of what is shared by the layers and of what a layer owns, where there is any."""
    record = attention.build("encoding", name)
    written = getattr(rows.evidence("encoding", name), "parameters", None)
    parts = ((record.shared, "shared by the layers"), (record.init, "per layer"))
    return [(formula(make) or written or f"{count(make):,}", count(make), whose) for make, whose in parts if count(make)]


def _limit(record: attention.Encoding) -> str:
    """How many positions there are, where a table says so."""
    found = record.max_length if isinstance(record.max_length, tuple) else (record.max_length,)
    words = ["L" if each == "dims" else f"{each:,}" for each in found if each is not None]
    return f"at most {' and '.join(words)} positions" if words else ""


def _lengths() -> list[int]:
    return sorted({group["length"] for group in groups("encoding")})


def _costs(spec: str) -> list[tuple[float, float]]:
    """Time relative to no encoding, and temporary MiB beyond it, at each length; [] for what was not measured."""
    found = []
    for group in sorted(groups("encoding"), key=lambda group: group["length"]):
        cases = {case["name"]: case for case in group["cases"]}
        peer = group["cases"][0]["peer"]
        if spec in cases and (spec != peer or "mask full" in group["title"]):
            found.append((cases[spec]["ratio"], cases[spec]["temporary_mib"] - cases[peer]["temporary_mib"]))
    return found


def _measured_specs() -> list[str]:
    return list(dict.fromkeys(case["name"] for group in groups("encoding") for case in group["cases"]))


def _cost_line(name: str) -> str:
    mine = [spec for spec in _measured_specs() if specs.parse(spec).name == name]
    if not mine:
        return f"Cost: {NOT_MEASURED}."
    each = "; ".join(f"`{spec}` {_times(spec)}, {_memory(spec)} MiB" for spec in mine)
    most = max(len(_costs(spec)) for spec in mine)  # the largest lengths are measured for some alone
    return f"Cost at T = {' / '.join(map(str, _lengths()[:most]))}: {each}."


def _times(spec: str) -> str:
    return " / ".join(f"{found:.2f}" if found < 10 else ratio(found) for found, _ in _costs(spec)) or NOT_MEASURED


def _memory(spec: str) -> str:
    return " / ".join(f"{more:+.0f}".replace("-0", "+0") for _, more in _costs(spec)) or NOT_MEASURED


def _overview() -> str:
    def row(name: str) -> list[str]:
        record, trial, counts = attention.build("encoding", name), tried(name), _counts(name)
        return [
            link(name),
            ", ".join(trial.enters),
            " + ".join(f"{text} shared" if "shared" in whose else text for text, _, whose in counts),
            trial.goes_by,
            "" if record.needs_causal else "blind" if trial.blind else "shows",
            "yes" if record.needs_causal else "",
            _limit(record).replace("at most ", "").replace(" positions", ""),
            "yes" if record.claims.extrapolates else "",
            "streams" if record.reads == "block" else f"whole {record.reads}",
            _times(name),
            _memory(name),
        ]

    columns = ["enters", "parameters", "goes by", "direction", "causal only", "limit", "longer", "kernel", "time", "MiB"]
    return table(["", *columns], (row(name) for name in attention.names("encoding")))


def _sums() -> str:
    sums = [spec for spec in _measured_specs() if specs.parse(spec).terms]
    alone = [[str(term) for term in specs.parse(spec).terms] for spec in sums]
    lines = (
        [f"`{spec}`", _times(spec), ", ".join(f"`{each}` {_times(each)}" for each in terms)] for spec, terms in zip(sums, alone)
    )
    return table(["sum", "time", "its terms alone"], lines)


def _measured() -> str:
    what = (
        "a training step of 4 layers, D = 256 and 8 heads, on 4096 / T texts of length T, beside the same model with `none`: "
        "the ratio of the times, and the temporary memory in MiB that comes on top"
    )
    return measured("encoding", what, "`python -m benchmarks.encodings` has them with their targets.")


TABLES: dict[str, Callable[[], str]] = {"overview": _overview, "sums": _sums, "measured": _measured, **SLIPS}


def panels(name: str) -> Sequence[maps.Panel]:
    """What the picture of a variant shows: what its evidence says, or the default by its hooks."""
    return rows.picture("encoding", name) or maps.default(name)


def figure(name: str) -> Any:
    """The picture of a variant."""
    return figures.of(panels(name))


def overview(words: Sequence[str]) -> Any:
    """A figure of the page as a whole: a map of query and key of every spec."""
    return figures.maps(words)

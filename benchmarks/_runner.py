"""One runner for all benchmarks: cases compiled ahead of time, run in turn, reported as ratios to a peer of the same run.

A machine's speed drifts, and others may use it. So every round runs all cases once, one after the other, and a ratio is the
median over the rounds of ``seconds of the case / seconds of its peer`` in the same round. What a time means depends on the
machine; a ratio means something elsewhere too.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from attention.files import write_json
from attention.runs.environment import environment
from attention.training.process import keep_freed_memory


class Case(NamedTuple):
    """Something to time.

    Attributes:
      name: what it is called, once per list of cases.
      run: does all the work and returns when it is done.
      peer: the case of the same list that its time is divided by; None for the first of the list.
      target: the ratio to the peer that it should not exceed; None where there is none.
      facts: whatever else the report should say about it.
    """

    name: str
    run: Callable[[], Any]
    peer: str | None = None
    target: float | None = None
    facts: Mapping[str, Any] = {}


class Measured(NamedTuple):
    """A case's times in seconds, its ratio to the peer (median of the rounds), and what the case says of itself."""

    name: str
    low: float  # quartiles
    median: float
    high: float
    peer: str
    ratio: float
    target: float | None
    facts: Mapping[str, Any]

    @property
    def missed(self) -> bool:
        """Whether the ratio is above its target."""
        return self.target is not None and self.ratio > self.target


def compiled(
    name: str, function: Callable[..., Any], *arrays: Any, facts: Mapping[str, Any] | None = None, **rest: Any
) -> Case:
    """A case that runs ``function`` on ``arrays``, compiled ahead of time, with its temporary memory among the facts.

    Args:
      name: the name of the case.
      function: of arrays alone, anything that ``jax.jit`` takes.
      arrays: its arguments; cases may share them.
      facts: more facts.
      **rest: ``peer`` and ``target``.
    """
    program = jax.jit(function).lower(*arrays).compile()
    analysis = program.memory_analysis()  # None where the backend has none
    memory = None if analysis is None else analysis.temp_size_in_bytes / 2**20
    return Case(name, lambda: jax.block_until_ready(program(*arrays)), facts={**(facts or {}), "temporary_mib": memory}, **rest)


def measure(cases: Sequence[Case], repetitions: int = 20, warm_up: int = 2) -> list[Measured]:
    """Runs all cases in turn, ``repetitions`` rounds of them after ``warm_up`` that are not counted.

    Args:
      cases: with names of their own, and peers among them.
      repetitions: >= 2, so that there are quartiles.
      warm_up: >= 1.

    Raises:
      ValueError: for fewer repetitions, a name given twice, or a peer that is not among the cases.
    """
    names = [case.name for case in cases]
    if repetitions < 2 or warm_up < 1:
        raise ValueError(f"want repetitions >= 2 and warm_up >= 1, got {repetitions} and {warm_up}")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"cases need names of their own, got {', '.join(sorted(twice))} more than once")
    if unknown := {case.peer for case in cases if case.peer is not None} - set(names):
        raise ValueError(f"peers must be among the cases {', '.join(names)}, got {', '.join(sorted(unknown))}")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for count in range(warm_up + repetitions):
        for case in cases:
            start = time.perf_counter()
            case.run()
            if count >= warm_up:
                seconds[case.name].append(time.perf_counter() - start)
    return [_summary(case, seconds, case.peer or names[0]) for case in cases]


def _summary(case: Case, seconds: Mapping[str, list[float]], peer: str) -> Measured:
    low, median, high = statistics.quantiles(seconds[case.name], n=4, method="inclusive")
    ratio = statistics.median(own / other for own, other in zip(seconds[case.name], seconds[peer], strict=True))
    return Measured(case.name, low, median, high, peer, ratio, case.target, case.facts)


Columns = Mapping[str, Callable[[Measured], str]]


def milliseconds(seconds: float) -> str:
    """Milliseconds with three digits or so."""
    return f"{1e3 * seconds:.{0 if seconds >= 0.1 else 1 if seconds >= 0.01 else 2}f}"


# What most tables begin with.
TIMES: Columns = {
    "median ms": lambda row: milliseconds(row.median),
    "quartiles": lambda row: f"{milliseconds(row.low)}-{milliseconds(row.high)}",
}
TARGETS: Columns = {
    "ratio": lambda row: f"{row.ratio:.2f}",
    "target": lambda row: "" if row.target is None else f"{row.target:g}{' MISSED' if row.missed else ''}",
}


def table(rows: Iterable[Measured], columns: Columns) -> str:
    """The rows as text: names to the left, columns to the right of each other, as wide as they need."""
    lines = [["", *columns], *([row.name, *(show(row) for show in columns.values())] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    pad = lambda line: [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))]
    return "\n".join("  ".join(pad(line)).rstrip() for line in lines)


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=20, help="rounds that are counted")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    parser.add_argument(
        "--keep_freed_memory", action="store_true", help="have the allocator keep what is freed, as train.py does"
    )
    return parser


class Report:
    """Prints the header and the tables of a run, and keeps what its JSON file will hold."""

    def __init__(self, options: argparse.Namespace):
        """Takes the options of ``parser`` and acts on ``--keep_freed_memory``: to be made before any array."""
        if options.keep_freed_memory:
            keep_freed_memory()
        self._options = options
        self.environment = {
            **environment(),
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "repetitions": options.repetitions,
            "keep_freed_memory": options.keep_freed_memory,
            "load_before": os.getloadavg()[0],
        }
        self._groups: list[dict[str, Any]] = []
        known = self.environment
        print(
            f"{known['device']}, {known['cores']} cores, jax {known['jax']}, load {known['load_before']:.1f} before the start"
        )
        print(f"median and quartiles of {options.repetitions} rounds; ratios are medians of the rounds' ratios")
        if options.keep_freed_memory:
            print("freed memory is kept mapped, as in train.py")
        else:
            print("freed memory goes back to the system, and much of a time may be its pages mapped anew (--keep_freed_memory)")

    def run(self, title: str, cases: Sequence[Case], columns: Columns, **facts: Any) -> list[Measured]:
        """Measures a list of cases, prints its table, and writes the JSON file anew, where one is wanted, ``facts`` with it."""
        rows = measure(cases, self._options.repetitions)
        print(f"\n{title}\n{table(rows, columns)}", flush=True)
        load = round(os.getloadavg()[0], 1)  # of the last minute: whether others used the machine
        self._groups.append({"title": title, "load": load, **facts, "cases": [as_json(row) for row in rows]})
        if self._options.json is not None:
            path = self._options.json.resolve()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"environment": self.environment, "groups": self._groups})
        return rows


def as_json(row: Measured) -> dict[str, Any]:
    """The row as the JSON file has it; times in milliseconds with five digits."""
    short = lambda value: float(f"{value:.5g}")
    return {
        "name": row.name,
        "median_ms": short(1e3 * row.median),
        "quartiles_ms": [short(1e3 * row.low), short(1e3 * row.high)],
        "peer": row.peer,
        "ratio": short(row.ratio),
        "target": row.target,
        "missed": row.missed,
        **row.facts,
    }

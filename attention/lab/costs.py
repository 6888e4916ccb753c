"""What each variant of a sweep costs, from its rows alone; times that a busy machine has stretched are left out."""

from collections.abc import Iterable
from statistics import median
from typing import NamedTuple

from attention.lab.analysis import Row, rows
from attention.lab.results import Results
from attention.training import machine


class Cost(NamedTuple):
    """What a variant costs; medians and sums are over its finished members, None without any.

    Times of members that trained on a busy machine are left out of medians, and a sum that would have some is None.
    """

    name: str
    parameters: int | None
    flops: float | None  # per example of training
    kernel: str
    update_seconds: float | None  # median
    process_seconds: float | None  # of the processors, in one update, median; of a busy machine too
    member_seconds: float | None  # of all updates of a member, without compiling, median
    state_bytes: float | None  # of a member, median
    work_bytes: float | None  # of the program that it shares with its cohort, median
    examples: int | None  # seen by all members
    trials: int  # of the search
    trial_updates: int  # spent in them
    seconds: float | None  # of all that finished: members and trials, with compiling
    busy: str | None  # why times are left out; None where none is


def busy(row: Row) -> str | None:
    """Why the times of a row do not say what it cost; None where nothing speaks against them."""
    names = ("measured_update_seconds", "measured_process_seconds", "measured_load", "measured_cores")
    return machine.busy(*(row[name] for name in names))


def ledger(results: Results) -> list[Cost]:
    """What each variant costs, in the order of the sweep."""
    found = []
    for name in results.sweep["variants"]:
        trials = rows(results, name, "search")
        done = [row for row in rows(results, name) if row["status"] == "finished"]
        middle = lambda column, among=done: _median(row[column] for row in among)
        quiet = [row for row in done if busy(row) is None]
        reason = next(filter(None, map(busy, [*done, *(row for row in trials if row["status"] == "finished")])), None)
        whole = _median(
            row["measured_update_seconds"] * row["updates"]
            for row in quiet
            if None not in (row["measured_update_seconds"], row["updates"])
        )
        found.append(
            Cost(
                name,
                parameters=next((row["parameters"] for row in done), None),
                flops=next((row["flops_per_example"] for row in rows(results, name)), None),
                kernel=", ".join(dict.fromkeys(row["kernel"] for row in done if row["kernel"])),
                update_seconds=middle("measured_update_seconds", quiet),
                process_seconds=middle("measured_process_seconds"),
                member_seconds=whole,
                state_bytes=middle("measured_state_bytes"),
                work_bytes=middle("measured_work_bytes"),
                examples=sum(row["examples"] or 0 for row in done) if done else None,
                trials=len(trials),
                trial_updates=sum(row["updates"] or 0 for row in trials),
                seconds=None if reason else sum(row["measured_seconds"] or 0.0 for row in [*done, *trials]),
                busy=reason,
            )
        )
    return found


def _median(values: Iterable[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return median(known) if known else None

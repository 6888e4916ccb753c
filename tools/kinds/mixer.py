"""Fills in the measured tables of ``docs/masks.md`` and ``docs/mixers.md`` from what the benchmarks have written.

python -m benchmarks.masks --keep_freed_memory --json=docs/figures/masks.json
python -m benchmarks.mixers --keep_freed_memory --json=docs/figures/mixers.json
python -m docs.figures.costs
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.mixers import exponent
from docs.figures import _page

HERE = Path(__file__).parent
MASKS, MIXERS = HERE / "masks.json", HERE / "mixers.json"


def masks(_: str) -> str:
    """Time beside ``full``, scores computed, and pairs allowed, at the longest length measured."""
    found = json.loads(MASKS.read_text(encoding="utf-8"))
    length = max(group["length"] for group in found["groups"])
    cases = _page.groups(MASKS, length=length)[0]["cases"]
    share = lambda value: f"{100 * value:.1f} %"
    rows = [(f"`{case['name']}`", f"{case['ratio']:.2f}", share(case["computed"]), share(case["allowed"])) for case in cases]
    made = _page.table(("mask", "time / `full`", "computed", "allowed"), rows)
    more = "`python -m benchmarks.masks --keep_freed_memory` makes it."
    return f"{made}\n\n" + _page.measured(MASKS, f"the chunked kernel at T = {length}, forward and backward", more)


def mixers(_: str) -> str:
    """Time and temporary memory at every length, and the exponents."""
    groups = json.loads(MIXERS.read_text(encoding="utf-8"))["groups"]
    lengths = sorted({_length(case) for group in groups for case in group["cases"]})
    rows = []
    for group in groups:
        cases = {_length(case): case for case in group["cases"]}
        time = {length: case["median_ms"] for length, case in cases.items()}
        memory = {length: case["temporary_mib"] for length, case in cases.items()}
        each = [f"{time[n]:.0f} / {memory[n]:.0f}" if n in cases else "–" for n in lengths]
        rows.append((f"`{group['spec']}`", *each, f"{exponent(time):.2f}", f"{exponent(memory):.2f}"))
    head = ("mixer, ms / MiB", *(f"T = {n}" for n in lengths), "exponent of time", "of memory")
    more = "Exponents are of T from 2048 on; `python -m benchmarks.mixers --keep_freed_memory` makes the table."
    what = "forward and backward pass of one text, D = 64"
    return f"{_page.table(head, rows)}\n\n" + _page.measured(MIXERS, what, more)


def _length(case: dict[str, Any]) -> int:
    return int(case["name"].removeprefix("T = "))


PAGES = {HERE.parent / "masks.md": masks, HERE.parent / "mixers.md": mixers}


def main() -> None:
    """Writes the pages anew."""
    for path, make in PAGES.items():
        text = path.read_text(encoding="utf-8")
        path.write_text(_page.refreshed(text, {"table": make}), encoding="utf-8")


if __name__ == "__main__":
    main()

"""How reports write numbers, the same in every file."""

import math
import re
from typing import Any, NamedTuple

from attention.messages import duration

NONE = "-"
MINUS = "\N{MINUS SIGN}"
SIGNS = {"better": "▲", "worse": "▼", "equivalent": "≈", "not distinguishable": "○"}


class Metric(NamedTuple):
    """A metric and how it is written: shares in percent, their differences in percentage points."""

    name: str
    share: bool

    @classmethod
    def of(cls, sweep: dict[str, Any], name: str | None = None) -> "Metric":
        """A metric of a sweep, by default the one that variants are compared by."""
        chosen: str = name or sweep["metric"]
        return cls(chosen, chosen in sweep["shares"])

    @property
    def factor(self) -> float:
        """1 is written as this."""
        return 100.0 if self.share else 1.0

    @property
    def title(self) -> str:
        """With its unit."""
        return f"{self.words}, %" if self.share else self.words

    @property
    def words(self) -> str:
        """Its name without underscores."""
        return self.name.replace("_", " ")

    @property
    def unit(self) -> str:
        """Of a difference, after a blank; empty for none."""
        return " percentage points" if self.share else ""

    @property
    def in_unit(self) -> str:
        """``, in percentage points`` after the name of a difference; empty for none."""
        return f", in{self.unit}" if self.share else ""

    def value(self, value: float | None) -> str:
        """``84.30`` for a share of 0.843, ``0.8430`` for another number."""
        return NONE if value is None else f"{self.factor * value:.{self._decimals}f}"

    def difference(self, value: float | None) -> str:
        """As ``value``, with a sign."""
        return NONE if value is None else f"{self.factor * value:+.{self._decimals}f}"

    def interval(self, low: float | None, high: float | None) -> str:
        """``[+0.50, +2.10]``."""
        return NONE if low is None or high is None else f"[{self.difference(low)}, {self.difference(high)}]"

    def signed(self, value: float) -> str:
        """As ``difference``, for a sentence: with a true minus, and 0 as it is."""
        return self.difference(value).replace("-", MINUS) if value else "0"

    @property
    def _decimals(self) -> int:
        return 2 if self.share else 4


def p_value(p: float | None) -> str:
    """Three digits below 0.1, else two: ``0.0137``, ``0.50``; ``<0.0001`` below that."""
    if p is None:
        return NONE
    return "<0.0001" if p < 1e-4 else f"{p:.3g}" if p < 0.1 else f"{p:.2f}"


def count(number: float | None) -> str:
    """``19,200``."""
    return NONE if number is None else f"{round(number):,}"


def seeds(number: int | None) -> str:
    """``38``; ``over 1,000`` beyond, where an estimate from a few differences says no more."""
    return "over 1,000" if number is not None and number > 1000 else count(number)


def operations(number: float | None) -> str:
    """``2.28M``."""
    if number is None:
        return NONE
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{_digits(number / size)}{letter}"
    return _digits(number)


def _digits(number: float) -> str:
    """Three significant digits, or all before the point: ``2.00``, ``168``, ``1,200``."""
    return f"{number:#.3g}".removesuffix(".") if number < 999.5 else f"{number:,.0f}"


def memory(number: float | None) -> str:
    """``168 KiB``."""
    if number is None:
        return NONE
    power = min(4, int(math.log(max(number, 1), 1024)))
    return f"{_digits(number / 1024**power)} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def milliseconds(seconds: float | None) -> str:
    """``6.71`` for 0.00671."""
    return NONE if seconds is None else _digits(1000 * seconds)


def time(seconds: float | None) -> str:
    """``48 s``, ``3 min 05 s``; two digits below ten: ``0.34 s``."""
    if seconds is None:
        return NONE
    return f"{seconds:#.2g} s" if seconds < 9.95 else duration(seconds)


def wrapped(name: str, width: int, lines: int = 3) -> str:
    """A name broken after blanks, commas, brackets and signs into at most ``lines`` lines of ``width``; the rest is cut."""
    rows = [""]
    for part in re.findall(r"[^ ,(+&]+[ ,(+&]*|[ ,(+&]+", " ".join(name.split())):
        for start in range(0, len(part), width):
            piece = part[start : start + width]
            if rows[-1] and len((rows[-1] + piece).rstrip()) > width:
                rows.append("")
            rows[-1] += piece
    if len(rows) > lines:
        rows = [*rows[: lines - 1], rows[lines - 1][: width - 1].rstrip() + "…"]
    return "\n".join(row.strip() for row in rows)

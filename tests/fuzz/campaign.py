"""Cases by number, each drawn from its own seed, and what counts as found."""

import contextlib
import io
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from attention.files import TryAgainError

LONGEST = 500  # characters of a message
SLOWEST = 30.0  # seconds of processor time of a case


class Found(AssertionError):
    """A fault: another error than those of bad input, a message that is long or not plain, a number that is not right."""


class Case(NamedTuple):
    """One case: what was done to what, and a call that returns how it ended, or raises ``Found``."""

    what: str
    run: Callable[[], str]


Target = Callable[[np.random.Generator], Case]


class Outcome(NamedTuple):
    """How often each end was reached, and a line for each fault."""

    counts: Counter[str]
    found: list[str]


def run(name: str, target: Target, *, seed: int, numbers: Iterator[int], until: float = float("inf")) -> Outcome:
    """Runs cases by their numbers until a time of ``time.monotonic``."""
    counts: Counter[str] = Counter()
    found = []
    for number in numbers:
        if time.monotonic() > until:
            break
        case = target(np.random.default_rng([seed, number]))
        began = time.process_time()
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                end = case.run()
            if time.process_time() - began > SLOWEST:
                raise Found(f"it took {time.process_time() - began:.0f} s")
        except Exception as error:
            end = "FOUND"
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = "" if isinstance(error, Found) else f"{type(error).__name__} at {last.filename}:{last.lineno}: "
            found.append(f"{name} seed {seed} case {number}, {case.what}: {where}{str(error)[:400]}")
        counts[end] += 1
    return Outcome(counts, found)


def refused(call: Callable[[], Any]) -> tuple[str, Any]:
    """How a call ended that may refuse bad input in one plain line, and what it returned."""
    try:
        return "right", call()
    except TryAgainError as error:
        check_message(str(error))
        return "try again", None
    except ValueError as error:
        if isinstance(error, UnicodeError):
            raise Found(f"{type(error).__name__}: {error}") from error
        check_message(str(error))
        return "refused", None


def check_message(message: str) -> None:
    """Raises Found for a message that is empty, long, or of more than one line of plain signs."""
    if not message.strip():
        raise Found("an empty message")
    if len(message) > LONGEST:
        raise Found(f"a message of {len(message)} signs: {message[:200]!r}")
    if not message.isprintable():
        raise Found(f"a message that is not plain: {message[:300]!r}")

"""What stands in messages: what was given, short, on one line and without signs that a terminal obeys; and times in words."""

from collections.abc import Iterable
from typing import Any

LONGEST = 500  # characters of a message
_ENDING = 180  # of them for its end, where what helps is said


def quoted(value: Any, most: int = 80) -> str:
    """The value as Python writes it, its middle left out where it is longer than ``most``.

    Example:
      >>> quoted("a\\tb" * 100, 20)
      "'a\\\\tba\\\\tba...\\\\tba\\\\tb'"
    """
    if isinstance(value, str) and len(value) > 9 * most:  # the middle of what is that long is never seen
        value = value[: 4 * most] + value[-4 * most :]
    return shortened(repr(value), most)


def shown(name: Any) -> str:
    """A path or a spec as it stands in messages."""
    return plain(shortened(str(name), 240))


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names after commas: the first ``most``, each on one line and short, and how many there are."""
    every = list(names)
    shown = ", ".join(plain(shortened(name, 40)) for name in every[:most])
    return shown if len(every) <= most else f"{shown}, ... ({len(every)} in all)"


def shortened(text: str, most: int) -> str:
    """The text, its middle left out where it is longer than ``most``."""
    if len(text) <= most:
        return text
    end = (most - 3) // 3
    return f"{text[: most - 3 - end]}...{text[len(text) - end :]}"


def plain(text: str) -> str:
    """The text with every sign that does not print, line breaks among them, written as an escape.

    Example:
      >>> plain("a\\x1b[31mb")
      'a\\\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def one_line(message: str) -> str:
    """A message as it is printed: blanks for line breaks, nothing raw, at most ``LONGEST`` characters, its end kept."""
    begin = message if len(message) <= 20 * LONGEST else message[: 10 * LONGEST] + message[-10 * LONGEST :]
    text = plain(" ".join(begin.split()))
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - _ENDING - 5]} ... {text[-_ENDING:]}"


def duration(seconds: float) -> str:
    """Seconds as people say them: ``48 s``, ``3 min 05 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

"""What damage does to bytes, and people to words."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

NASTY = (
    "",
    "\0",
    "\n",
    "\r",
    "\x1b[31m",
    "\ud800",
    "\u2028",
    "\t",
    '"',
    "'",
    "\\",
    "$",
    "~/",
    "%s",
    "{}",
    "é",
    "😀" * 200,
    "x" * 2000,
)
NASTY_BYTES = tuple(each.encode("utf-8", "surrogatepass") for each in NASTY) + (b"\xff", b"\xff\xfe", b"\x1f\x8b", b"[" * 3000)
NUMBERS = (
    "0",
    "-1",
    "1",
    "2147483648",
    "9" * 30,
    "9" * 5000,
    "1e400",
    "1e-400",
    "nan",
    "inf",
    "0.5",
    "None",
    "True",
    "()",
    "(1,)",
    "",
)


def mutated_bytes(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    """One kind of damage to bytes, with its name."""
    size = max(len(data), 1)
    a, b = sorted(int(place) for place in rng.integers(0, size + 1, 2))
    b = min(b, a + 400)
    nasty = NASTY_BYTES[rng.integers(len(NASTY_BYTES))]
    flip = bytes([data[a % size] ^ (1 << int(rng.integers(8)))]) if data else b"x"
    kinds = {
        f"bit flipped at {a}": data[: a % size] + flip + data[a % size + 1 :],
        f"cut off after {a}": data[:a],
        f"without {a}:{b}": data[:a] + data[b:],
        f"{a}:{b} twice": data[:b] + data[a:b] + data[b:],
        f"{nasty[:8]!r} at {a}": data[:a] + nasty + data[a:],
        f"halves swapped at {a}": data[a:] + data[:a],
        f"zeros at {a}:{b}": data[:a] + bytes(b - a) + data[b:],
        "nothing left": b"",
    }
    kind = list(kinds)[rng.choice(len(kinds), p=[0.3, 0.14, 0.12, 0.12, 0.14, 0.06, 0.1, 0.02])]
    return kind, kinds[kind]


def mutated_digit(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    """Another digit in the place of one, which leaves most files well formed; other damage where there is none."""
    places = [place for place, sign in enumerate(data) if 48 <= sign <= 57]
    if not places:
        return mutated_bytes(rng, data)
    place = places[rng.integers(len(places))]
    digit = (data[place] - 48 + int(rng.integers(1, 10))) % 10
    return f"digit {digit} at {place}", data[:place] + bytes([48 + digit]) + data[place + 1 :]


VALUES = (
    None,
    True,
    0,
    -1,
    1,
    2**31,
    10**30,
    0.5,
    1e308,
    "",
    "x",
    "1",
    "../../etc",
    "y" * 3000,
    "\x1b",
    [],
    [1],
    {},
    {"a": 1},
    [[]],
)


def mutated_json(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    """Another value of one field of JSON, a field less or a field more; other damage where it is no JSON."""
    try:
        whole = json.loads(data)
    except ValueError:
        return mutated_digit(rng, data)
    places = list(_places(whole))
    if not places:
        return mutated_bytes(rng, data)
    holder, key = places[rng.integers(len(places))]
    kind, value = rng.integers(4), VALUES[rng.integers(len(VALUES))]
    if kind == 0:
        del holder[key]
        return f"without {key!r}", json.dumps(whole).encode()
    if kind == 1 and isinstance(holder[key], (int, float)):
        value = holder[key] + 1
    holder[key] = value
    return f"{key!r} is {str(value)[:40]!r}", json.dumps(whole).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """The dicts and lists in a value with each of their keys."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()):
        yield value, key
        yield from _places(item)


def mutated_words(rng: np.random.Generator, words: Sequence[str]) -> list[str]:
    """Arguments as they go wrong: signs lost or doubled, numbers out of range, arguments lost, doubled or exchanged."""
    given = list(words)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(given))) if given else 0
        word = given[place] if given else ""
        at = int(rng.integers(len(word) + 1))
        kind = rng.integers(8)
        if kind == 0:
            given[place : place + 1] = [word[:at] + word[at + 1 :]]
        elif kind == 1:
            given[place : place + 1] = [word[:at] + NASTY[rng.integers(len(NASTY))] + word[at:]]
        elif kind == 2:
            given[place : place + 1] = []
        elif kind == 3:
            given[place:place] = [word]
        elif kind == 4:
            given[place : place + 1] = [word[:at]]
        elif kind == 5:
            given[place : place + 1] = [word[:at] + "()=,.+&'-*[]"[rng.integers(12)] + word[at:]]
        else:
            head, sign, _ = word.rpartition("=")
            number = NUMBERS[rng.integers(len(NUMBERS))]
            given[place : place + 1] = [f"{head}{sign}{number}{')' * (head.count('(') - head.count(')'))}"]
    return given

"""What is odd about the labels of a file, which become classes as they are written."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from attention.data.repeats import together
from attention.messages import listed, quoted, shortened

_MISSING = {"", "nan", "null", "n/a", "#n/a", "<na>", "nil", "#name?", "#ref!", "#value!", "#div/0!"}
_ENDS = (",", ";", ":")  # signs that stand after a label
_SEPARATORS = (",", ";", "|", "/", "+")  # that stand between the labels of a cell
_MANY = 10  # classes; fewer are looked through at a glance


def notes(labels: Sequence[str]) -> tuple[str, ...]:
    """Lines for the user about labels that stand for nothing, look like one another, or are as many as texts."""
    counts = Counter(labels)
    found = []
    if missing := [name for name in counts if _seen(name) in _MISSING or name in ("None", "NA")]:
        found.append(
            f"labels that may stand for none are classes of their own: {_counted(missing, counts)}; leave out such rows"
        )
    if all(name.endswith(_ENDS) for name in counts):
        found.append(f"all labels end in {listed(sorted({name[-1] for name in counts}))}: {_counted(sorted(counts), counts)}")
    alike: dict[object, list[str]] = {}
    for name in sorted(counts):
        alike.setdefault(_likeness(name), []).append(name)
    if several := [_counted(names, counts) for names in alike.values() if len(names) > 1]:
        found.append(f"labels that look like one another are classes of their own: {listed(several, 5)}")
    decimal = [name for name in counts if _is_decimal(name)]
    if len(counts) > _MANY and (2 * len(counts) > len(labels) or 2 * len(decimal) > len(counts)):
        what = "numbers with decimals" if 2 * len(decimal) > len(counts) else "nearly as many as texts"
        found.append(
            f"{len(labels)} texts have {len(counts)} classes, {what}: {_counted(sorted(counts)[:5], counts)}, ...; is"
            " label= the column that is meant?"
        )
    return tuple(found)


def unparted(labels: Sequence[Sequence[str]], separator: str) -> tuple[str, ...]:
    """A line for the user where no text has several labels, and most labels hold what stands between them elsewhere."""
    names = {name for each in labels for name in each}
    if any(len(each) > 1 for each in labels):
        return ()
    counts = {sign: sum(sign in name for name in names) for sign in _SEPARATORS if sign != separator}
    sign = max(counts, key=lambda sign: counts[sign])
    what = f"{counts[sign]} of {len(names)} labels hold {sign!r}; separator={sign!r} parts them"
    return (what,) if 2 * counts[sign] > len(names) else ()


def contradictions(texts: Sequence[str], labels: Sequence[object]) -> tuple[str, ...]:
    """A line for the user on the texts that have more than one label, or none."""
    several = together(texts).told_several(labels)
    if not several:
        return ()
    rows, first = sum(map(len, several)), quoted(texts[int(several[0][0])], 60)
    what = f"{len(several)} texts stand in train with several labels, in {rows} of its {len(texts)} rows"
    return (f"{what}: no classifier has all of these right; the first is {first}",)


def _counted(names: Sequence[str], counts: Counter[str]) -> str:
    same = len({unicodedata.normalize("NFC", name) for name in names}) < len(names)  # on a screen
    write = ascii if same else repr
    shown = [f"{write(shortened(name, 30))} ({counts[name]})" for name in names[:5]]
    return " and ".join(shown) + (" ..." if len(names) > 5 else "")


def _likeness(name: str) -> object:
    """What labels share that differ in letter case, blanks, hyphens, signs without width, or how they are coded."""
    seen = _seen(name)
    try:
        return float(seen)
    except ValueError:
        return "".join(sign for sign in seen if not (sign.isspace() or sign in "-_.")) or seen


def _seen(name: str) -> str:
    """A label as it is seen: letters in one coding and small, without signs that have no width."""
    whole = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(sign for sign in whole if unicodedata.category(sign) != "Cf").strip()


def _is_decimal(name: str) -> bool:
    try:
        return not float(name).is_integer()
    except (ValueError, OverflowError):
        return False

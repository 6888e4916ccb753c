"""What is odd about the labels of a file, which become classes as they are written."""

from collections import Counter
from collections.abc import Sequence

from attention.messages import listed, plain, shortened

_MISSING = {"nan", "null", "n/a", "#n/a", "<na>", "nil", "#name?", "#ref!", "#value!", "#div/0!"}
_MANY = 10  # classes; fewer are looked through at a glance


def notes(labels: Sequence[str]) -> tuple[str, ...]:
    """Lines for the user about labels that stand for nothing, look like one another, or are as many as texts."""
    counts = Counter(labels)
    found = []
    if missing := [name for name in counts if name.lower() in _MISSING or name in ("None", "NA")]:
        found.append(
            f"labels that may stand for none are classes of their own: {_counted(missing, counts)}; leave out such rows"
        )
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


def _counted(names: Sequence[str], counts: Counter[str]) -> str:
    shown = [f"{plain(shortened(name, 30))!r} ({counts[name]})" for name in names[:5]]
    return " and ".join(shown) + (" ..." if len(names) > 5 else "")


def _likeness(name: str) -> object:
    """What labels share that differ in letter case, blanks, hyphens, or how a number is written."""
    try:
        return float(name)
    except ValueError:
        return "".join(sign for sign in name.casefold() if not (sign.isspace() or sign in "-_.")) or name


def _is_decimal(name: str) -> bool:
    try:
        return not float(name).is_integer()
    except (ValueError, OverflowError):
        return False

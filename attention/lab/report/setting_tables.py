"""What members were trained with: hyperparameters, data, and environment, as tables. What is not recorded is said to be so."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attention.lab.analysis import Row, rows
from attention.lab.report.numbers import NONE, count
from attention.lab.report.parts import Cell, Head, Table
from attention.lab.results import Results

UNKNOWN = "not recorded"
ALL = "all"
# What environment.json calls a field, and what a reader does; others follow under their own names.
_ENVIRONMENT = {
    "processor": "processor",
    "cores": "cores",
    "device": "device",
    "device_count": "devices",
    "devices_used": "devices of a cohort",
    "idle_devices": "idle devices",
    "platform": "platform",
    "system": "system",
    "version": "attention-lab",
    "python": "Python",
    **{name: name for name in ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn", "kernel")},
    "git_commit": "commit",
    "git_dirty": "uncommitted changes",
    "git_untracked": "files in no commit",
    "sources": "hash of the files of the package",
}
_RECORDED = ("processor", "cores", "device", "version", "python", "jax", "flax", "optax", "git_commit")


def hyperparameter_table(results: Results) -> Table:
    """Every field of the config, with a row for each of its values; those in which variants differ stand first."""
    known: dict[str, dict[str, list[str]]] = {}
    names = [name for name in results.sweep["variants"] if rows(results, name)]
    for name in names:
        for field, value in _flat(json.loads(rows(results, name)[0]["config"])):
            known.setdefault(field, {}).setdefault(_written(value), []).append(name)
    known["seeds"] = {", ".join(map(str, results.sweep["seeds"])): names}
    same = lambda field: len(known[field]) == 1 and len(next(iter(known[field].values()))) == len(names)
    heads = [Head("field", number=False), Head("value", number=False), Head("variants", number=False)]
    cells = [
        [Cell(field), Cell(value), Cell(ALL if same(field) else "; ".join(having))]
        for field in sorted(known, key=same)
        for value, having in known[field].items()
    ]
    caption = "Hyperparameters: every field of the config; those in which variants differ stand first"
    return Table("hyperparameters", caption, heads, cells, sortable=False)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_written, value)) or "(none)"
    return value or "(empty)" if isinstance(value, str) else json.dumps(value)


def data_rows(results: Results) -> dict[str, list[Row]]:
    """The finished members by what is recorded of their data, JSON; "" where nothing is."""
    found: dict[str, list[Row]] = {}
    for row in _trained(results):
        found.setdefault(row["data"] or "", []).append(row)
    return found


def split_table(results: Results) -> Table | None:
    """The sizes of the splits; None where they were not recorded."""
    heads = [
        Head("split", number=False),
        Head("texts"),
        Head("tokens per text", "mean, after truncation", plain=("mean_length",)),
        Head("longest", "tokens, after truncation", plain=("max_length",)),
        Head("unknown, %", "of the tokens", plain=("unknown_rate",)),
        Head("cut short, %", "of the texts: those longer than data.max_length", plain=("truncated_share",)),
        Head("classes", "with a text in the split"),
        Head("largest class, %", "of the texts", plain=("largest_class_share",)),
    ]
    cells = [
        [
            Cell(name),
            Cell(count(facts.get("examples")), facts.get("examples")),
            _number(facts.get("mean_length"), "{:.1f}"),
            _number(facts.get("max_length"), "{:,.0f}"),
            _number(facts.get("unknown_rate"), "{:.2f}", 100),
            _number(facts.get("truncated_share"), "{:.2f}", 100),
            *_balance(facts.get("class_counts")),
        ]
        for name, facts, _ in _splits(results)
    ]
    return Table("splits", "Sizes and balance of the splits", heads, cells, sortable=False) if cells else None


def class_table(results: Results) -> Table | None:
    """The texts of each class in each split; None where there are no classes, or they were not recorded."""
    counted = [(name, facts["class_counts"], classes) for name, facts, classes in _splits(results) if "class_counts" in facts]
    if not counted:
        return None
    heads = [Head("class", number=False), *(Head(name, "texts, and their share of the split") for name, _, _ in counted)]
    names = dict.fromkeys(name for _, _, classes in counted for name in classes)
    cells = []
    for name in names:
        line = [Cell(name)]
        for _, counts, classes in counted:
            number = counts[classes.index(name)] if name in classes else 0
            line.append(Cell(f"{number:,} ({100 * number / max(sum(counts), 1):.1f} %)", number))
        cells.append(line)
    return Table("classes", "Texts of each class", heads, cells)


def _splits(results: Results) -> list[tuple[str, dict[str, Any], list[str]]]:
    """Name, facts and classes of each split, with the variants that it is of where their data differ."""
    found, kinds = [], {text: members for text, members in data_rows(results).items() if text}
    for text, members in kinds.items():
        data = json.loads(text)
        of = "" if len(kinds) == 1 else f" of {'; '.join(dict.fromkeys(row['variant'] for row in members))}"
        found += [(f"{name}{of}", facts, data["classes"]) for name, facts in data["splits"].items()]
    return found


def _number(value: float | None, form: str, factor: float = 1) -> Cell:
    return Cell(NONE if value is None else form.format(factor * value), value)


def _balance(counts: Sequence[int] | None) -> list[Cell]:
    if not counts or not sum(counts):
        return [Cell(NONE), Cell(NONE)]
    there, share = sum(number > 0 for number in counts), max(counts) / sum(counts)
    return [Cell(str(there), there), Cell(f"{100 * share:.1f}", share)]


def data_facts(results: Results) -> list[tuple[str, str]]:
    """What the data are: pairs of a term and what is recorded of it."""
    sources = dict.fromkeys(json.loads(row["config"])["data"]["source"] for row in results.rows)
    trained = _trained(results)
    count = lambda row: f"{row['test_count']:,} texts, " if row["test_count"] else ""
    tested = dict.fromkeys(
        f"{count(row)}sha256 {(row['test_hash'] or UNKNOWN)[:12]}" for row in trained if row["split"] == "test"
    )
    facts = [("Name", results.sweep["data_name"])] if results.sweep["data_name"] else []
    facts += [("Source", "; ".join(sources)), ("Test split", "; ".join(tested) or "none that was scored")]
    return facts if not trained or any(data_rows(results)) else [*facts, ("Sizes and balance of the splits", UNKNOWN)]


def environment_table(results: Results) -> Table:
    """Dates, machine, versions and code, with a column for each combination that members were trained with."""
    known: dict[str, list[Row]] = {}
    for row in _trained(results):
        facts = {**json.loads(row["environment"]), "device": row["device"]}
        known.setdefault(json.dumps(facts, sort_keys=True), []).append(row)
    columns = [json.loads(text) for text in known]
    fields = [name for name in _ENVIRONMENT if name in _RECORDED or any(name in column for column in columns)]
    fields += [name for name in dict.fromkeys(name for column in columns for name in column) if name not in _ENVIRONMENT]
    sizes = [f"{len(group)} {'member' if len(group) == 1 else 'members'}" for group in known.values()]
    heads = [Head("what", number=False), *(Head(size, number=False) for size in sizes)]
    cells = [[Cell("trained"), *(Cell(_dates(group)) for group in known.values())]]
    cells += [
        [Cell(_ENVIRONMENT.get(name, name.replace("_", " "))), *(Cell(_plainly(column.get(name))) for column in columns)]
        for name in fields
    ]
    return Table("environment", "Dates, machine, versions and code", heads, cells if known else [], sortable=False)


def _dates(group: Sequence[Row]) -> str:
    """From the beginning of the first member to the end of the last: ``2026-11-29 20:15 to 21:04 UTC``."""
    started, ended = ([row[name] for row in group if row[name]] for name in ("measured_started", "measured_ended"))
    if not started or not ended:
        return UNKNOWN
    first, last = min(started)[:16].replace("T", " "), max(ended)[:16].replace("T", " ")
    shown = last.removeprefix(first[:11]) if last[:11] == first[:11] else last
    return f"{first} to {shown} UTC" if first != last else f"{first} UTC"


def _plainly(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return UNKNOWN if value is None else str(value)


def _trained(results: Results) -> list[Row]:
    return [row for row in results.rows if row["status"] == "finished" and row["phase"] == "final"]

"""``results.parquet``: a row for each point of a sweep, from which every number of a report can be recomputed.

Columns whose names start with ``measured_`` hold dates, times and memory of the machine; all others are the same however
often the sweep was cut off. The schema's metadata, under ``sweep``, says which variant is the baseline, which metric decides,
and which way is better; ``--report`` asks the same rows another question. Under ``sha256`` is a hash of all rows and of that.
"""

import hashlib
import json
import math
from collections.abc import Container
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from attention import installation, specs
from attention.files import json_hash, write_atomic
from attention.lab import results_check
from attention.lab.plain_names import plain_name
from attention.messages import listed, one_line, quoted, shortened, shown
from attention.runs.beside import near
from attention.specs import nearest

_CURVE = pa.list_(pa.struct([("step", pa.int32()), ("value", pa.float64())]))
_SCORES = pa.map_(pa.string(), pa.float64())
SCHEMA = pa.schema(
    [
        ("variant", pa.string()),  # the name in tables
        ("names", pa.list_(pa.string())),  # on each axis
        ("fields", pa.string()),  # JSON: what the variant sets
        ("seed", pa.int64()),
        ("phase", pa.string()),  # final or search
        ("drawn", pa.string()),  # JSON: the values of a search that this point has
        ("status", pa.string()),  # finished, failed or pending
        ("reason", pa.string()),  # why it failed, or stopped early
        ("key", pa.string()),  # hash of its config
        ("run", pa.string()),  # its folder in the sweep's
        ("config", pa.string()),  # JSON, whole
        ("split", pa.string()),  # of the scores that variants are compared by
        ("validation", _SCORES),  # by metric, of the best weights
        ("test", _SCORES),
        ("clean", _SCORES),  # on the texts of test that are neither in train nor in validation; null where all are
        ("clean_count", pa.int32()),  # of these; null where none is elsewhere
        ("clean_of", pa.int32()),  # texts of test, where some are elsewhere
        ("best_step", pa.int32()),
        ("updates", pa.int32()),
        ("examples", pa.int64()),  # seen in training
        ("parameters", pa.int64()),
        ("flops_per_example", pa.float64()),
        ("kernel", pa.string()),
        ("baselines", _SCORES),  # of trivial rules
        ("rival", pa.string()),  # spec of the rival; null where none was fitted
        ("rival_scores", _SCORES),  # its own, on the split of the scores
        ("rival_correct", pa.binary()),  # of each example of test, a bit
        ("losses", _CURVE),  # of training
        ("validations", pa.map_(pa.string(), _CURVE)),  # by metric
        ("by_length", pa.string()),  # JSON, as result.json has it
        ("correct", pa.binary()),  # of each example of test, a bit
        ("test_count", pa.int32()),
        ("test_hash", pa.string()),  # of its content
        ("split_hash", pa.string()),  # of the content of the split of the scores
        ("device", pa.string()),
        ("environment", pa.string()),  # JSON
        ("data", pa.string()),  # JSON: the classes, and of each split what data.json says
        ("cohort_members", pa.int32()),  # that shared the program
        ("measured_started", pa.string()),  # when it was begun, UTC
        ("measured_ended", pa.string()),
        ("measured_seconds", pa.float64()),  # of training, this member's share
        ("measured_update_seconds", pa.float64()),  # of one update of one member, without compiling
        ("measured_process_seconds", pa.float64()),  # of the processors, in one update of one member; null where not known
        ("measured_load", pa.float64()),  # threads that wanted to run on the machine while it trained, on average
        ("measured_cores", pa.int32()),  # of the machine
        ("measured_compile_seconds", pa.float64()),  # this member's share
        ("measured_state_bytes", pa.int64()),  # weights, optimizer and batch: this member's share
        ("measured_work_bytes", pa.int64()),  # while an update computes
    ]
)


_SEAL = b"sha256"  # of all content; results of before have that of what is compared, or none
# Columns that results of before did not have.
_ADDED = {"clean", "clean_count", "clean_of", "split_hash", "measured_process_seconds", "measured_load", "measured_cores"}
_ADDED |= {"data", "measured_started", "measured_ended"}
_ADDED |= {"rival", "rival_scores", "rival_correct"}


class Results(NamedTuple):
    """The rows of a sweep and what it compares.

    Attributes:
      rows: as dicts by column.
      sweep: "name", "baseline", "metric", "metrics", "shares", "variants",
        "higher_is_better", "margin" (or None), "axes" (how many),
        "seeds", "search" (or None), "dropped" (pairs of name and reason), "command",
        "split" (that variants are compared on), "notes" (on the data: pairs of one and the variants that it is about), "title"
        and "data_name" (the words of the report for itself and for its data, or "").
    """

    rows: list[dict[str, Any]]
    sweep: dict[str, Any]


def write(path: Path, results: Results) -> None:
    """Writes the rows as Parquet, aside and renamed."""
    table = pa.Table.from_pylist(results.rows, schema=SCHEMA)
    sink = pa.BufferOutputStream()
    metadata = {"sweep": json.dumps(results.sweep), _SEAL: _content_hash(table.to_pylist(), results.sweep)}
    parquet.write_table(table.replace_schema_metadata(metadata), sink, write_page_checksum=True)
    write_atomic(path, sink.getvalue().to_pybytes())


def _content_hash(rows: list[dict[str, Any]], sweep: dict[str, Any]) -> str:
    """sha256 of the canonical JSON of all there is: checksums of pages know nothing of names, types and counts."""
    canonical = json.dumps([rows, sweep], sort_keys=True, separators=(",", ":"), default=bytes.hex)
    return hashlib.sha256(canonical.encode()).hexdigest()


def read(path: Path) -> Results:
    """What ``write`` wrote. Raises ValueError where there is no such file or it holds something else."""
    if not path.is_file():
        folder = path.parent
        where = f"the folder has no {path.name}" if folder.is_dir() else "there is no such folder"
        beside, program = near(folder, path.name), installation.program("sweep")
        raise ValueError(f"no results of a sweep at {shown(folder)}: {where}{beside}; {program} writes them")
    try:
        return _read(path)
    except Exception as error:  # of damaged bytes pyarrow raises whatever it comes upon
        reason = one_line(str(error) or type(error).__name__)
        raise ValueError(f"{path} holds no results of a sweep, or is damaged ({shortened(reason, 200)})") from None


def _read(path: Path) -> Results:
    table = parquet.read_table(path, page_checksum_verification=True)
    metadata, rows = table.schema.metadata or {}, table.to_pylist()
    sweep = json.loads(metadata[b"sweep"])
    if metadata.get(_SEAL, b"").decode() not in ("", _content_hash(rows, sweep), json_hash(sweep)):
        raise ValueError("its content does not have the hash it was written with")
    if lacking := set(SCHEMA.names) - _ADDED - set(table.schema.names):
        raise ValueError(f"it has no column {min(lacking)!r}")
    maps = [name for name in table.schema.names if pa.types.is_map(table.schema.field(name).type)]
    for row in rows:
        row |= {name: dict(row[name]) for name in maps if row[name] is not None}
        row |= {name: None for name in SCHEMA.names if name not in row}  # of an older version
        if isinstance(row["validations"], list):
            row["validations"] = {sweep["metric"]: row["validations"]}
        if row["rival_scores"] is not None:
            known = ((name, value) for name, value in row["rival_scores"].items() if value is not None)
            row["rival_scores"] = {name: value for name, value in known if math.isfinite(value)}
    usual = {"split": "test", "notes": [], "other_sources": [], "margin": None, "title": "", "data_name": ""}
    found = Results(rows, {**usual, **sweep})
    results_check.check(*found)
    return found


def asked(
    results: Results,
    *,
    baseline: str | None = None,
    metric: str | None = None,
    margin: float | None = None,
    title: str | None = None,
    data_name: str | None = None,
) -> Results:
    """The results with another question: which variant the others are compared with, and by what; or under other words.

    The sweep's own margin is one of its own metric: another metric has none unless it is given.

    Raises:
      ValueError: for a variant or a metric that they have not, a margin that is none, or words that cannot be printed.
    """
    sweep = results.sweep
    for what, words in (("title", title), ("data_name", data_name)):
        plain_name(words or "", f"--{what}")
    for what, given, known in (("baseline", baseline, sweep["variants"]), ("metric", metric, sweep["metrics"])):
        if given is not None and given not in known:
            raise ValueError(f"--{what} wants one of {listed(known)}, got {quoted(given)}{nearest(given, known)}")
    if metric is not None:
        metrics = specs.build("task", json.loads(results.rows[0]["config"])["task"]).metrics
        higher = next((each.higher_is_better for each in metrics if each.name == metric), True)
        kept = sweep["margin"] if metric == sweep["metric"] else None
        sweep = {**sweep, "metric": metric, "higher_is_better": higher, "margin": kept}
    if margin is not None:
        checked_margin(margin, sweep["metric"], sweep["shares"], "--margin")
    given = {"baseline": baseline, "margin": margin, "title": title, "data_name": data_name}
    return results._replace(sweep={**sweep, **{name: value for name, value in given.items() if value is not None}})


def checked_margin(margin: float, metric: str, shares: Container[str], name: str) -> float:
    """The margin, which ``name`` gave. Raises ValueError for one that cannot be of the metric."""
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {margin}")
    if metric in shares and margin >= 1:
        raise ValueError(f"{name} must be below 1 for {metric}, a share (0.01 is one percentage point), got {margin}")
    return margin


def validations(row: dict[str, Any], metric: str) -> tuple[str, list[dict[str, Any]]]:
    """The validations of a row by a metric, or by the first there is where validation has not that one, and which it is."""
    found = row["validations"] or {}
    name = metric if metric in found else next(iter(found), metric)
    return name, found.get(name) or []


def score(row: dict[str, Any], metric: str) -> float | None:
    """The score of a row that variants are compared by; None where the point failed or is pending."""
    scores = row[row["split"]] if row["status"] == "finished" else None
    return None if scores is None else scores.get(metric)


def correct(row: dict[str, Any]) -> np.ndarray | None:
    """Whether each example of test is right, bool ``[n]``; None where that is not known."""
    if row["correct"] is None:
        return None
    return np.unpackbits(np.frombuffer(row["correct"], np.uint8), count=row["test_count"]).astype(bool)

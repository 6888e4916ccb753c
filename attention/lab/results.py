"""``results.parquet``: a row for each point of a sweep, from which every number of a report can be recomputed.

Columns whose names start with ``measured_`` hold times and memory of the machine; all others are the same however often the
sweep was cut off. The schema's metadata, under ``sweep``, says which variant is the baseline, which metric decides, and
which way is better.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from attention import specs
from attention.files import write_atomic
from attention.lab.plan import BEYOND, Plan, Point
from attention.lab.store import Points, test_scores
from attention.runs.directory import RunDirectory
from attention.training import config as configs

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
        ("best_step", pa.int32()),
        ("updates", pa.int32()),
        ("examples", pa.int64()),  # seen in training
        ("parameters", pa.int64()),
        ("flops_per_example", pa.float64()),
        ("kernel", pa.string()),
        ("baselines", _SCORES),  # of trivial rules
        ("losses", _CURVE),  # of training
        ("validations", _CURVE),  # of the metric that decides, or of the task's first where validation has it not
        ("by_length", pa.string()),  # JSON, as result.json has it
        ("correct", pa.binary()),  # of each example of test, a bit
        ("test_count", pa.int32()),
        ("test_hash", pa.string()),  # of its content
        ("device", pa.string()),
        ("environment", pa.string()),  # JSON
        ("cohort_members", pa.int32()),  # that shared the program
        ("measured_seconds", pa.float64()),  # of training, this member's share
        ("measured_update_seconds", pa.float64()),  # of one update of one member, without compiling
        ("measured_compile_seconds", pa.float64()),  # this member's share
        ("measured_state_bytes", pa.int64()),  # weights, optimizer and batch: this member's share
        ("measured_work_bytes", pa.int64()),  # while an update computes
    ]
)


class Results(NamedTuple):
    """The rows of a sweep and what it compares.

    Attributes:
      rows: as dicts by column.
      sweep: "name", "baseline", "metric", "metrics", "shares", "variants",
        "higher_is_better", "axes" (how many), "seeds", "search" (or None), "dropped" (pairs of name and reason), "command".
    """

    rows: list[dict[str, Any]]
    sweep: dict[str, Any]


def collect(plan: Plan, points: Points, chosen: dict[str, dict[str, float]], command: str) -> Results:
    """The rows of a plan's points, in its order: trials, then the final members of each variant."""
    flops = {built.variant.name: built.flops for built in plan.built}
    draws = [] if plan.sweep.search is None else plan.sweep.search.draws()
    rows = [
        _row(points, trial, flops[trial.variant.name], draws[number % len(draws)], plan.sweep.metric)
        for number, trial in enumerate(plan.trials())
    ]
    final = plan.points(chosen)
    rows += [
        _row(points, point, flops[point.variant.name], chosen.get(point.variant.name, {}), plan.sweep.metric) for point in final
    ]
    task = plan.sweep.task
    beyond = [BEYOND] if any(row["by_length"] is not None for row in rows) else []
    depth = {len(built.variant.names) for built in plan.built}
    return Results(
        rows,
        {
            "name": plan.sweep.name,
            "baseline": plan.sweep.baseline,
            "metric": plan.sweep.metric,
            "metrics": [*(metric.name for metric in task.metrics), *beyond],
            "shares": [*(metric.name for metric in task.metrics if metric.share), *beyond],
            "higher_is_better": plan.sweep.higher_is_better,
            "variants": [built.variant.name for built in plan.built],
            "axes": depth.pop() if len(depth) == 1 else 1,
            "seeds": list(plan.sweep.seeds),
            "search": None if plan.sweep.search is None else plan.sweep.search._asdict(),
            "dropped": [list(each) for each in plan.dropped],
            "command": command,
        },
    )


def write(path: Path, results: Results) -> None:
    """Writes the rows as Parquet, aside and renamed."""
    table = pa.Table.from_pylist(results.rows, schema=SCHEMA)
    sink = pa.BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata({"sweep": json.dumps(results.sweep)}), sink)
    write_atomic(path, sink.getvalue().to_pybytes())


def read(path: Path) -> Results:
    """What ``write`` wrote. Raises ValueError where there is no such file or it holds something else."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist; sweep.py writes it")
    table = parquet.read_table(path)
    metadata = table.schema.metadata or {}
    if b"sweep" not in metadata or table.schema.names != SCHEMA.names:
        raise ValueError(f"{path} holds no results of a sweep of this version")
    rows = table.to_pylist()
    for row in rows:
        for name in ("validation", "test", "baselines"):
            row[name] = None if row[name] is None else dict(row[name])
    return Results(rows, json.loads(metadata[b"sweep"]))


def score(row: dict[str, Any], metric: str) -> float | None:
    """The score of a row that variants are compared by; None where the point failed or is pending."""
    scores = row[row["split"]] if row["status"] == "finished" else None
    return None if scores is None else scores.get(metric)


def correct(row: dict[str, Any]) -> np.ndarray | None:
    """Whether each example of test is right, bool ``[n]``; None where that is not known."""
    if row["correct"] is None:
        return None
    return np.unpackbits(np.frombuffer(row["correct"], np.uint8), count=row["test_count"]).astype(bool)


def _row(points: Points, point: Point, flops: float, drawn: dict[str, float], metric: str) -> dict[str, Any]:
    run = points.run(point)
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {
        "variant": point.variant.name,
        "names": list(point.variant.names),
        "fields": json.dumps(point.variant.fields),
        "seed": point.config.seeds[0],
        "phase": point.phase,
        "drawn": json.dumps(drawn),
        "status": "pending",
        "key": point.key,
        "config": json.dumps(configs.to_dict(point.config)),
        "flops_per_example": flops,
    }
    failure = points.failure(point)
    if not run.finished:
        return row if failure is None else {**row, "status": "failed", "reason": failure}
    return {**row, "run": str(run.path.relative_to(points.path)), **_finished(run, point, metric)}


def _finished(run: RunDirectory, point: Point, metric: str) -> dict[str, Any]:
    result, environment, lines = run.read_result(), run.read_environment(), run.read_metrics().lines
    member, data = result["members"][0], run.read_data()
    failed = member["failed"] or member["validation"] is None
    predictions = run.read_predictions()
    right = None if predictions is None or member["test"] is None else predictions.get("correct", [None])[0]
    updates = max(member["updates"], 1)
    known = member["validation"] is None or metric in member["validation"]
    validated = metric if known else specs.build("task", result["task"]).metrics[0].name
    curve = lambda split, name: [
        {"step": line["step"], "value": line[name][0]} for line in lines if line["split"] == split and line[name][0] is not None
    ]
    return {
        "status": "failed" if failed else "finished",
        "reason": member["stopped"],
        "split": result["summary_split"],
        "validation": member["validation"],
        "test": test_scores(result),
        "best_step": member["best_step"],
        "updates": member["updates"],
        "examples": member["updates"] * point.config.training.batch_size,
        "parameters": result["parameters"],
        "kernel": result["kernel"],
        "baselines": result["baselines"],
        "losses": curve("train", "loss"),
        "validations": curve("validation", validated),
        "by_length": None if result["by_length"] is None else json.dumps(result["by_length"]),
        "correct": None if right is None else np.packbits(right).tobytes(),
        "test_count": None if right is None else len(right),
        "test_hash": data.hashes.get("test"),
        "device": result["device"],
        "environment": json.dumps(environment),
        "cohort_members": result["cohort"]["members"],
        "measured_seconds": result["train_seconds"],
        "measured_update_seconds": result["step_seconds"] / updates,
        "measured_compile_seconds": result["compile_seconds"],
        "measured_state_bytes": result["state_bytes"] // result["cohort"]["members"],
        "measured_work_bytes": result["work_bytes"],
    }

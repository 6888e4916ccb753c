"""The rows of ``results.parquet``, from the run directories of a sweep."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from attention import heartbeat, specs
from attention.data import batches
from attention.files import differences, json_hash
from attention.lab import results, sweep_record
from attention.lab.plan import BEYOND, Built, Plan, Point
from attention.lab.results import LONGER, SCHEMA, Results
from attention.lab.store import Points, test_scores
from attention.messages import one_line
from attention.runs.directory import RunDirectory
from attention.training import config as configs


def collect(plan: Plan, points: Points, chosen: dict[str, dict[str, float]], command: str) -> Results:
    """The rows of a plan's points, in its order: trials, then the final members of each variant."""
    flops, uncounted = _operations(plan, points)
    draws = [] if plan.sweep.search is None else plan.sweep.search.draws()
    final, built = plan.points(chosen), {each.variant.name: each for each in plan.built}
    drawn = [(trial, draws[number % len(draws)]) for number, trial in enumerate(plan.trials())]
    drawn += [(point, chosen.get(point.variant.name, {})) for point in final]
    rows = [_row(points, point, built[point.variant.name], flops[point.variant.name], values) for point, values in drawn]
    task = plan.sweep.task
    beyond = [BEYOND] if any(row["by_length"] is not None for row in rows) else []
    longer = [LONGER] if any(LONGER in (row["test"] or {}) for row in rows) else []
    depth = {len(built.variant.names) for built in plan.built}
    return Results(
        rows,
        {
            "name": plan.sweep.name,
            "title": plan.sweep.title,
            "data_name": plan.sweep.data_name,
            "baseline": plan.sweep.baseline,
            "metric": plan.sweep.metric,
            "margin": plan.sweep.margin,
            "metrics": [*(metric.name for metric in task.metrics), *beyond, *longer],
            "shares": [*(metric.name for metric in task.metrics if metric.share), *beyond],
            "ruled_by": task.ruled.name,
            "higher_is_better": plan.sweep.higher_is_better,
            "variants": [built.variant.name for built in plan.built],
            "axes": depth.pop() if len(depth) == 1 else 1,
            "seeds": list(plan.sweep.seeds),
            "search": None if plan.sweep.search is None else plan.sweep.search._asdict(),
            "dropped": [list(each) for each in plan.dropped],
            "command": command,
            "sweep": sweep_record.token(points.path),
            "other_sources": _other_sources(points, [*plan.trials(), *final]),
            "split": " and ".join(dict.fromkeys(built.split for built in plan.built)),
            "notes": [list(each) for each in (*notes(plan), *uncounted)],
        },
    )


def _operations(plan: Plan, points: Points) -> tuple[dict[str, float | None], list[tuple[str, list[str]]]]:
    """Per example of training, by variant: those of the rows there are, and what these lack is counted.

    None where that fails, as the notes beside them say, which is no reason to withhold what was trained.
    """
    try:
        rows = results.read(points.path / "results.parquet").rows
    except ValueError:  # none yet, or damaged ones, which are written anew
        rows = []
    known = {row["key"]: row["flops_per_example"] for row in rows}
    points_of = (*plan.trials(), *plan.points())
    found: dict[str, float | None] = {each.variant.name: known[each.key] for each in points_of if known.get(each.key)}
    notes: list[tuple[str, list[str]]] = []
    lacking = [built for built in plan.built if built.variant.name not in found]
    for built in heartbeat.each("counting the operations of variant", lacking):
        name = built.variant.name
        try:
            found[name] = built.counted()[1]
        except Exception as error:
            found[name] = None
            notes.append((f"operations are not counted: {one_line(str(error) or type(error).__name__)}", [name]))
    return found, notes


def _other_sources(points: Points, wanted: Sequence[Point]) -> list[dict[str, Any]]:
    """Groups of members that were not trained by the files of the package that most were: who, and which files differ."""
    groups: dict[str, list[Point]] = {}
    for point in wanted:
        if points.run(point).finished:
            groups.setdefault(json_hash(points.run(point).read_sources()), []).append(point)
    ordered = sorted(groups.values(), key=len, reverse=True)
    usual = points.run(ordered[0][0]).read_sources() if ordered else {}
    found = []
    for group in ordered[1:]:
        files = [name for name, _, _ in differences(usual, points.run(group[0]).read_sources())]
        found.append({"members": [f"{point.variant.name}, seed {point.config.seeds[0]}" for point in group], "files": files})
    return found


def notes(plan: Plan) -> list[tuple[str, list[str]]]:
    """The notes on a sweep's data, each once, with the names of the variants that it is about."""
    found: dict[str, list[str]] = {}
    for built in plan.built:
        for note in built.notes:
            found.setdefault(note, []).append(built.variant.name)
    return list(found.items())


def _row(points: Points, point: Point, built: Built, flops: float | None, drawn: dict[str, float]) -> dict[str, Any]:
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
        "config": json.dumps({name: value for name, value in configs.to_dict(point.config).items() if name != "trackers"}),
        "flops_per_example": flops,
    }
    failure = points.failure(point)
    if not run.finished:
        return row if failure is None else {**row, "status": "failed", "reason": failure}
    return {**row, "run": str(run.path.relative_to(points.path)), **_finished(run, point, built)}


def _read(config: configs.Config, built: Built, updates: int) -> int:
    """The examples that so many updates have read."""
    sizes = {"batch_size": config.training.batch_size, "buckets": config.data.buckets, "seed": config.data.seed}
    return batches.Plan(built.data.splits["train"].extents, **sizes).examples(updates)


def _packed(right: np.ndarray | None) -> bytes | None:
    """A bit for each example."""
    return None if right is None else np.packbits(right).tobytes()


def _finished(run: RunDirectory, point: Point, built: Built) -> dict[str, Any]:
    result, environment, lines = run.read_result(), run.read_environment(), run.read_metrics().lines
    member, data = result["members"][0], run.read_data()
    started = environment.pop("started", None)
    cohort = result.get("cohort", {"members": 1})["members"]  # a run that train.py made is alone
    failed = member["failed"] or member["validation"] is None
    predictions = run.read_predictions()
    right = None if predictions is None or member["test"] is None else predictions.get("correct", [None])[0]
    clean, processor, rival = result.get("clean") or {}, result.get("process_seconds"), result.get("rival") or {}
    updates = max(member["updates"], 1)
    validated = [each.name for each in specs.build("task", result["task"]).metrics]
    curve = lambda split, name: [
        {"step": line["step"], "value": line[name][0]} for line in lines if line["split"] == split and line[name][0] is not None
    ]
    return {
        "status": "failed" if failed else "finished",
        "reason": member["stopped"],
        "split": result["summary_split"],
        "validation": member["validation"],
        "test": test_scores(result),
        "clean": member.get("clean"),
        "clean_count": clean.get("count"),
        "clean_of": clean.get("of"),
        "best_step": member["best_step"],
        "updates": member["updates"],
        "examples": _read(point.config, built, member["updates"]),
        "parameters": result["parameters"],
        "kernel": result["kernel"],
        "baselines": result["baselines"],
        "rival": rival["spec"] if rival.get("splits") else None,
        "rival_scores": rival.get("splits", {}).get(result["summary_split"]),
        "rival_correct": _packed((run.read_rival_predictions() or {}).get("correct")) if rival.get("splits") else None,
        "losses": curve("train", "loss"),
        "validations": {name: curve("validation", name) for name in validated},
        "by_length": None if result["by_length"] is None else json.dumps(result["by_length"]),
        "correct": _packed(right),
        "test_count": None if right is None else len(right),
        "test_hash": data.hashes.get("test"),
        "split_hash": data.hashes.get(result["summary_split"]),
        "device": result["device"],
        "environment": json.dumps(environment),
        "data": json.dumps({"classes": data.classes, "splits": data.splits}),
        "cohort_members": cohort,
        "measured_started": started,
        "measured_ended": result.get("ended"),
        "measured_seconds": result["train_seconds"],
        "measured_update_seconds": result["step_seconds"] / updates,
        "measured_process_seconds": None if processor is None else processor / updates,
        "measured_load": result.get("load"),
        "measured_cores": result.get("cores"),
        "measured_compile_seconds": result["compile_seconds"],
        "measured_state_bytes": result["state_bytes"] // cohort,
        "measured_work_bytes": result["work_bytes"],
    }

"""Sweeps small enough to run in a moment, for the tests of the laboratory."""

from attention.lab import execute, grid, plan, results, store
from attention.lab.collect import collect
from attention.training import config as configs
from tests.support import toy

# What of a row depends on the machine and the moment.
MEASURED = ("measured_", "environment")


def fields(source, variants=None, *, seeds=(0, 1), training=None, baseline="mean", **sweep):
    """The fields of a sweep over poolings of the toy data."""
    chosen = grid.param("model.pooling", ["mean", "max"]) if variants is None else variants
    base = toy.fields(source, **(training or {}))
    return {**base, "seeds": seeds, "sweep": plan.section(chosen, baseline=baseline, **sweep).to_dict()}


def planned(given, name="toy"):
    """The plan of a sweep's fields."""
    return plan.plan(plan.read(given, name))


def run(given, folder, **options):
    """Runs a sweep; returns its rows."""
    made = planned(given)
    with execute.opened(folder, made) as points:
        execute.run(made, points, **options)
        found = collect(made, points, store.choices(made, points), "python sweep.py")
        results.write(folder / "results.parquet", found)
    return results.read(folder / "results.parquet").rows


def unmeasured(rows):
    """The rows without what the machine decides."""
    return [{name: value for name, value in row.items() if not name.startswith(MEASURED)} for row in rows]


def single(row):
    """The config of a row, as a run of its own."""
    import json

    return configs.from_dict(json.loads(row["config"]))

"""What every executor promises before anything is there to train on; tests/cluster has it train."""

import importlib.util
import os
import pickle
import sys

import pytest

from attention import specs
from tests.support.rows import over_knobs, over_rows

every = over_rows("executor")


@every
def test_what_trains_by_jobs_opens_a_session(name, row):
    executor = specs.build("executor", row.spec)
    assert (executor.open is not None) == row.evidence.jobs
    assert executor.concurrent >= 1
    assert pickle.loads(pickle.dumps(executor)) is executor


@every
def test_what_is_lacking_is_one_line(name, row, monkeypatch, tmp_path):
    executor = specs.build("executor", row.spec)
    if row.evidence.lacks is None:
        return
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises((ValueError, ModuleNotFoundError), match=row.evidence.lacks) as caught:
        executor.open()
    assert "\n" not in str(caught.value)


@over_knobs("executor")
def test_no_dead_options(knob):
    found = [specs.build("executor", spec) for spec in (knob.without, knob.with_)]
    one, other = ((executor.concurrent, getattr(executor.open, "args", None)) for executor in found)
    assert one != other


@every
def test_identities_know_of_no_executor(name, row):
    """Jobs are given their folder by the environment, and nothing that a run records of itself has it."""
    from attention.training import config, job

    assert "executor" not in config.to_dict(config.from_dict({}))
    assert not os.environ.get(job.FOLDER)

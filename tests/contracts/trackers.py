"""What every tracker promises before its package is there; what it shows is read back in tests/training and tests/plugs."""

import importlib.util
import pickle
import sys
import threading

from attention import installation, specs
from attention.runs import trackers
from attention.runs.directory import RunDirectory
from attention.runs.trackers import _follow
from tests.support.rows import over_knobs, over_rows

every = over_rows("tracker")


@every
def test_what_shows_something_has_an_extra_for_its_packages(name, row):
    tracker = specs.build("tracker", row.spec)
    assert (tracker.open is not None) == bool(tracker.packages) == row.evidence.shows
    assert set(tracker.packages) <= set(installation.EXTRAS)
    assert pickle.loads(pickle.dumps(tracker)) is tracker


@every
def test_each_of_several_goes_by_itself(name, row):
    both = trackers.each(f"{row.spec} + none + tensorboard(path='elsewhere') + {row.spec}")
    assert [tracker.spec for tracker in both] == [*([row.spec] if row.evidence.shows else []), "tensorboard(path='elsewhere')"]


@every
def test_a_missing_package_is_one_line(name, row, tmp_path, monkeypatch):
    tracker, said = specs.build("tracker", row.spec), []
    if not row.evidence.shows:
        return
    for package in tracker.packages:
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert _follow.tell(row.spec, [RunDirectory(tmp_path / "run")], threading.Event(), said.append) == 2
    (line,) = said
    assert line.startswith(f"tracker {name}: module {tracker.packages[0]} is not installed: pip install '")
    assert line.endswith(f'eval.py --workdir={tmp_path}/run --track="{row.spec}" shows it later')


@over_knobs("tracker")
def test_no_dead_options(knob):
    one, other = (specs.build("tracker", spec) for spec in (knob.without, knob.with_))
    assert one.open.args != other.open.args

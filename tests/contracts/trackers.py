"""What every tracker promises before its package is there; what it shows is read back in tests/training and tests/plugs."""

import importlib.util
import pickle
import sys
import threading

import pytest

from attention import installation, specs
from attention.runs import trackers
from attention.runs.directory import RunDirectory
from attention.runs.trackers import Ending, Member, Row, _follow
from tests.support.rows import over_knobs, over_rows, rows

every = over_rows("tracker")


@every
def test_what_shows_something_has_an_extra_for_its_packages(name, row):
    tracker = specs.build("tracker", row.spec)
    assert (tracker.open is not None) == row.evidence.shows
    assert set(tracker.packages) <= set(installation.EXTRAS)
    assert pickle.loads(pickle.dumps(tracker)) is tracker


@every
def test_each_of_several_goes_by_itself(name, row):
    both = trackers.each(f"{row.spec} + none + tensorboard(path='elsewhere') + {row.spec}")
    assert [tracker.spec for tracker in both] == [*([row.spec] if row.evidence.shows else []), "tensorboard(path='elsewhere')"]


@pytest.mark.parametrize("name", [name for name, row in rows("tracker").items() if row.evidence.local])
def test_a_session_goes_on_after_what_it_was_told(name, tmp_path):
    """And writes nothing where there is nothing new."""
    tracker = specs.build("tracker", rows("tracker")[name].spec)
    member = Member("0123456789abcdef", "mine-seed0", "mine", tmp_path / "seed0", 1e9, {"seed": 0}, {"cores": 2})
    told = [Row(step, 0.5 * step, {"train/loss": 1 / step}) for step in (5, 10, 15)]
    ending = Ending(15, 7.5, {"test/accuracy": 0.5}, {"verdict": "better"}, False)
    for count, reached in ((2, -1), (3, 10), (3, 15)):
        session = tracker.open(member)
        assert session.reached == reached
        session.add([row for row in told[:count] if row.step > reached])
        session.close(False)
    kept = []
    for _ in range(3):
        session = tracker.open(member)
        session.end(ending)
        session.close(True)
        kept.append({path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()})
    assert kept[0] == kept[1] == kept[2]
    assert any(kept[0].values())


@pytest.mark.parametrize("name", [name for name, row in rows("tracker").items() if specs.build("tracker", row.spec).packages])
def test_a_missing_package_is_one_line(name, tmp_path, monkeypatch):
    row, said = rows("tracker")[name], []
    tracker = specs.build("tracker", row.spec)
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

"""The members of a sweep in trackers: each on its own, in the group of the sweep."""

from attention.runs import tracking
from attention.runs.directory import RunDirectory
from attention.training import following
from tests.support import sweeps, toy
from tests.support.trackers import assert_shown, events, points


def test_members_of_a_sweep_are_shown_each_on_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "mine"
    sweeps.run({**sweeps.fields(toy.write_data(tmp_path)), "trackers": "tensorboard"}, folder)
    runs = [RunDirectory(path) for path in sorted((folder / "points").iterdir())]
    members = [tracking.members(run)[0] for run in runs]
    assert [member.name for member in members] == [run.path.name for run in runs]
    assert {member.group for member in members} == {"mine"}
    assert len({member.id for member in members}) == 4
    for run, member in zip(runs, members):
        assert_shown(events(member.folder), points(run))
    before = sorted(folder.rglob("*tfevents*"))
    assert following.catch_up("tensorboard", folder) == 0
    assert sorted(folder.rglob("*tfevents*")) == before
    assert len(before) == 4

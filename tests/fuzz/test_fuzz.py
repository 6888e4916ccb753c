"""The first cases of seed 0, in well under a minute."""

import pytest

from tests.fuzz import campaign, targets

CASES = {"runs": 120, "files": 2500, "corpora": 400, "commands": 500}


@pytest.mark.parametrize("name", targets.TARGETS)
def test_what_is_damaged_is_right_or_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(targets.ROOT)
    made = targets.TARGETS[name](tmp_path)
    outcome = campaign.run(name, made, seed=0, numbers=iter(range(CASES[name])))
    assert outcome.found == []
    assert outcome.counts["refused"] > CASES[name] / 10
    assert outcome.counts["right"] > CASES[name] / 50

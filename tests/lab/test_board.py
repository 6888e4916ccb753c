"""What a sweep shows while it runs."""

import time

from attention.lab.board import Board, CohortProgress
from attention.lab.report.numbers import Metric

NAMES = ["none", "mask=[bold]local[/x]"]


def board(**options):
    return Board(NAMES, 3, metric=Metric("accuracy", True), updates=120, **options)


def test_scores_so_far(capsys):
    with board() as shown:
        shown.known("none", 0.5)
        shown.known("none", 0.75)
        shown.known(NAMES[1], None)
        shown.say("[red]a line[/x] that stays")
        shown.show_standing()
    first, head, none, other = capsys.readouterr().out.splitlines()
    assert first == "[red]a line[/x] that stays"
    assert head.split("  ")[0] == "variant"
    assert "accuracy, %" in head
    assert none.split() == ["none", "2", "/", "3", "62.50"]
    assert other.split() == [NAMES[1], "1", "/", "3", "1"]


def test_time_left_follows_from_the_updates_still_to_be_made(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown = board()
    assert shown.left() == "time left unknown"
    cohort = CohortProgress(shown, 1, "none, 2 members", 2, steps=30, start=10)  # 20 of 120 were made before
    now[0] += 10.0
    cohort.advance(20)  # 20 updates in 10 s, 80 are left
    assert shown.left() == "about 40 s left"
    cohort.close()  # its members stopped early: 20 more need not be made
    assert shown.left() == "about 30 s left"

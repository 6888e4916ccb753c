"""What a sweep shows while it runs."""

import re
import subprocess
import sys
import time

from attention.lab.board import Board, CohortProgress
from attention.lab.report.numbers import Metric
from tests.support.terminal import printed_on_terminal

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
    cohort = CohortProgress(shown, 2, steps=30, start=10)  # 20 of 120 were made before
    now[0] += 10.0
    cohort.advance(12)
    assert shown.left() == "time left unknown"  # compiling is most of it so far
    cohort.advance(20)  # 20 updates in 10 s, 80 are left
    assert shown.left() == "about 40 s left"
    cohort.close()  # its members stopped early: 20 more need not be made
    assert shown.left() == "about 30 s left"


def test_many_jobs_are_counted_where_that_is_news(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown = board()
    for number in range(4):
        shown.job(f"{number}", runs=True)
    shown._beat("update 3 of 10")
    shown.job("4", runs=False)
    for seconds in (7.0, 0.0, 0.0, 59.0, 1.0):  # a line of each job is one of the sweep
        now[0] += seconds
        shown._beat("update 3 of 10")
    shown.known("none", None)
    shown.job("0", runs=None)
    shown.job("5", runs=False)
    for seconds in (0.0, 1.0):  # not within one look at the jobs
        now[0] += seconds
        shown._beat("update 4 of 10")
    shown.job("4", runs=None)
    shown._beat("update 5 of 10")
    assert capsys.readouterr().out.splitlines() == [
        "update 3 of 10; time left unknown",
        "jobs: 4 run, 1 wait; members: 0 of 6 done (7 s); time left unknown",
        "jobs: 4 run, 1 wait; members: 0 of 6 done (1 min 07 s); time left unknown",
        "jobs: 3 run, 2 wait; members: 1 of 6 done (1 min 08 s); time left unknown",
        "update 5 of 10; time left unknown",
    ]


WORK = """
import time
from attention.lab.board import Board, CohortProgress
from attention.lab.report.numbers import Metric
from attention import heartbeat

heartbeat.EVERY = 0.2
with heartbeat.watching():
    with heartbeat.doing("checking variant 3 of 200"):
        time.sleep(1)
    with Board(["rope"], 2, metric=Metric("accuracy", True), updates=20) as board, heartbeat.doing("cohort 1 of 1: rope"):
        progress = CohortProgress(board, 2, steps=10, start=0)
        with heartbeat.doing("compiling"):
            time.sleep(1.5)
        progress.advance(5)
        time.sleep(1.5)
        progress.close()
        board.say("rope: finished")
    with heartbeat.doing("drawing the report"):
        time.sleep(1)
"""
STEPS = (
    r"checking variant 3 of 200 \(\d s\)",
    r"cohort 1 of 1: rope: update 0 of 10: compiling \(\d s\)",
    r"cohort 1 of 1: rope: update 5 of 10 \(\d s\)",
    r"drawing the report \(\d s\)",
)


def test_each_thing_under_way_has_lines_in_a_file():
    printed = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=True)
    lines = printed.stdout.splitlines()
    for step in STEPS:
        assert sum(re.fullmatch(rf"{step}(; .* left|; time left unknown)?", line) is not None for line in lines) > 1
    assert "\x1b" not in printed.stdout
    assert printed.stderr == ""


def test_a_terminal_has_lines_before_and_after_the_table_and_the_table_in_between():
    printed, lines = printed_on_terminal(WORK, columns=100)
    drawn = [step.replace(r"\(\d s\)", r" *\d s") for step in (STEPS[0], STEPS[-1])]
    for step in (drawn[0], *STEPS[1:-1], drawn[1]):
        assert any(re.fullmatch(step, line) for line in lines), step
    assert not [line for line in lines if line.startswith("cohort") and line.endswith("left unknown")]  # no second voice
    before, table, after, _ = printed.split(b"\x1b[?25h")  # the cursor is hidden while something is drawn
    assert b"checking" in before
    assert b"update" in table
    assert b"checking" not in table
    assert b"drawing" not in table
    assert b"drawing" in after

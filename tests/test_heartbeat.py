"""What is under way is said where nothing else is, and nothing is said beside what shows it."""

import re
import threading
import time

import pytest

from attention import heartbeat
from tests.support.terminal import printed_on_terminal


@pytest.fixture
def said(monkeypatch):
    """The lines said in a watch that waits for no more than a moment."""
    monkeypatch.setattr(heartbeat, "EVERY", 0.05)
    lines = []
    with heartbeat.watching(), heartbeat.said_by(lines.append):
        yield lines


def wait_for(lines, count):
    """Waits until so many lines are said, for a minute at most."""
    end = time.monotonic() + 60
    while len(lines) < count and time.monotonic() < end:
        time.sleep(0.01)
    return lines[count - 1]


def test_what_is_under_way_is_said_again_and_again(said):
    with heartbeat.doing("cohort 1 of 2") as cohort:
        with heartbeat.doing("compiling"):
            assert re.fullmatch(r"cohort 1 of 2: compiling \(\d+ s\)", wait_for(said, 3))
        cohort.text = "cohort 2 of 2"
        said.clear()
        wait_for(said, 2)
        assert re.fullmatch(r"cohort 2 of 2 \(\d+ s\)", said[-1])
    assert heartbeat.under_way() == []


def test_nothing_is_said_where_nothing_is_under_way_or_a_table_shows_it(said):
    time.sleep(0.2)
    assert said == []
    with heartbeat.said_by(None), heartbeat.doing("training"):
        time.sleep(0.2)
    assert said == []


class Clock:
    """A clock that goes on where somebody waits, and on whose third wait a line of somebody else is heard."""

    def __init__(self, waits):
        self.now, self.waited, self.waits = 100.0, [], waits

    def monotonic(self):
        return self.now

    def wait(self, seconds):
        self.waited.append(seconds)
        self.now += seconds
        if len(self.waited) == 3:
            self.now -= 2.0
            heartbeat.heard()
            self.now += 2.0
        return len(self.waited) > self.waits


def test_a_line_of_somebody_else_gives_time(monkeypatch):
    clock, lines = Clock(4), []
    monkeypatch.setattr(heartbeat, "time", clock)
    heartbeat.heard()
    with heartbeat.said_by(lambda line: lines.append((clock.now, line))), heartbeat.doing("training"):
        heartbeat._watch(clock)
    assert clock.waited == [1.0, 2.0, 4.0, 2.0, 8.0]  # soon at first; the third is in vain
    assert lines == [(101.0, "training (1 s)"), (103.0, "training (3 s)"), (109.0, "training (9 s)")]


def test_each_thread_has_a_line_of_its_own(said):
    ready, go = threading.Barrier(3), threading.Event()

    def work(name):
        with heartbeat.doing(name):
            ready.wait()
            go.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    ready.wait()
    assert sorted(line.split()[0] for line in heartbeat.under_way()) == ["one", "two"]
    go.set()
    for thread in threads:
        thread.join()
    assert heartbeat.under_way() == []


def test_items_are_counted():
    seen = [(item, heartbeat.under_way()[0]) for item in heartbeat.each("checking variant", ["a", "b"])]
    assert seen == [("a", "checking variant 1 of 2, 0 % (0 s)"), ("b", "checking variant 2 of 2, 50 % (0 s)")]


class Stopped:
    """A clock that goes on where it is told to."""

    now = 100.0

    def monotonic(self):
        return self.now


def test_the_time_left_follows_from_the_share(monkeypatch):
    clock = Stopped()
    monkeypatch.setattr(heartbeat, "time", clock)
    with heartbeat.doing("loading csv") as outer, heartbeat.doing("reading texts") as inner:
        inner.share = 0.25
        assert heartbeat.under_way() == ["loading csv: reading texts, 25 % (0 s)"]  # too soon to tell
        clock.now += 30.0
        assert heartbeat.under_way() == ["loading csv: reading texts, 25 % (30 s, about 1 min 30 s left)"]
        inner.share = 1.5  # a guess of how much there is may be too low
        assert heartbeat.under_way() == ["loading csv: reading texts, 100 % (30 s)"]
        outer.left = 200.0  # the outermost that knows is what somebody waits for
        assert heartbeat.under_way() == ["loading csv: reading texts, 100 % (30 s, about 3 min 20 s left)"]
        clock.now += 30.0
        assert heartbeat.under_way() == ["loading csv: reading texts, 100 % (60 s, about 2 min 50 s left)"]
        clock.now += 200.0  # longer than was thought
        assert heartbeat.under_way() == ["loading csv: reading texts, 100 % (260 s)"]
        outer.left = None
        inner.share = 0.5
        assert heartbeat.under_way() == ["loading csv: reading texts, 50 % (260 s, about 4 min 20 s left)"]


def test_a_watch_that_breaks_says_so(monkeypatch):
    caught = []
    monkeypatch.setattr(heartbeat, "EVERY", 0.05)
    monkeypatch.setattr(threading, "excepthook", lambda given: caught.append(given.exc_type))

    def breaks(line):
        raise OSError("no room")

    with heartbeat.watching(), heartbeat.said_by(breaks), heartbeat.doing("training"):
        wait_for(caught, 1)
    assert caught == [OSError]


def test_one_watch_is_enough(monkeypatch, capsys):
    monkeypatch.setattr(heartbeat, "EVERY", 1000.0)
    before = threading.active_count()
    with heartbeat.watching(), heartbeat.watching():
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


DRAWN = """
import sys, time
from attention import heartbeat

with heartbeat.watching():
    with heartbeat.doing("reading [bold]" + "x" * 100) as step:
        assert heartbeat.drawn()
        step.share = 0.5
        time.sleep(0.8)
        print("a line that stays")
        with heartbeat.said_by(None):
            assert not heartbeat.drawn()
            print("a line of another")
        step.text = "counting"
        time.sleep(0.8)
assert not heartbeat.drawn()
print("done")
"""


def test_a_terminal_has_a_line_that_is_drawn_anew_below_what_is_printed():
    printed, lines = printed_on_terminal(DRAWN, columns=60)
    assert [line for line in lines if line in ("a line that stays", "a line of another", "done")] == [
        "a line that stays",
        "a line of another",
        "done",
    ]
    assert any(re.fullmatch(r"━+[╸╺]?━+ reading \[bold\]x+… \d s", line) for line in lines)
    assert any(re.fullmatch(r"━+[╸╺]?━+ counting +\d s left", line) for line in lines)
    assert max(map(len, lines)) <= 60
    assert printed.count(b"\x1b[?25l") == printed.count(b"\x1b[?25h") == 2  # the cursor is hidden while a line is drawn

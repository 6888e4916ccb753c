"""What is left of a run, from what it has taken."""

import pytest

from attention.training.pace import Pace


def left(pace: Pace, *, updates: int = 0, programs: int = 0, examples: int = 0) -> float:
    found = pace.left(updates, programs, examples)
    assert found is not None
    return found


def test_time_left():
    pace = Pace(batch=10)
    assert pace.left(updates=100, programs=4, examples=0) is None
    pace.updated(seconds=3.0, compiling=3.0)
    assert pace.left(updates=99, programs=4, examples=0) is None  # the first is under way
    pace.updated(seconds=6.0, compiling=0.0)
    assert pace.left(updates=98, programs=4, examples=0) is None  # it was the first of its program
    pace.updated(seconds=0.6, compiling=0.0)
    # 97 updates of 0.6 s, 3 programs of 3 s, 50 examples of a third of 0.06 s
    assert left(pace, updates=97, programs=4, examples=50) == pytest.approx(58.2 + 9 + 1)
    pace.updated(seconds=5.6, compiling=5.0)
    assert left(pace, updates=96, programs=4, examples=0) == pytest.approx(57.6 + 8)
    assert left(pace, updates=96, programs=1, examples=0) == pytest.approx(57.6)  # more shapes than buckets


def test_what_is_done_for_the_first_time_says_nothing_of_the_next():
    pace = Pace(batch=10)
    for seconds, compiling in [(9.0, 9.0), (4.0, 0.0), (0.5, 0.0), (9.0, 9.0), (7.0, 0.0), (0.7, 0.0)]:
        pace.updated(seconds, compiling)
    assert left(pace, updates=10, programs=2) == pytest.approx(6.0)
    pace.validated(30.0, 100)
    assert left(pace, examples=1000) == pytest.approx(20.0)  # a third of 0.06 s each
    pace.validated(5.0, 100)
    assert left(pace, examples=1000) == pytest.approx(50.0)


def test_an_update_that_was_waited_for_counts_once():
    pace = Pace(batch=1)
    for seconds, compiling in [(9.0, 9.0), (4.0, 0.0), (0.5, 0.0)]:
        pace.updated(seconds, compiling)
    pace.waited(0.7)
    pace.updated(0.001, 0.0)  # nothing was under way
    pace.updated(0.6, 0.0)
    assert left(pace, updates=10) == pytest.approx(6.0)

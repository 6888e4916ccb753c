"""When the times of a run are trusted."""

import os

from attention.training import machine
from attention.training.process import Clock, Spent


def test_a_process_that_waits_and_a_crowded_machine_are_busy():
    assert machine.busy(10.0, 9.5, 2.4, 2) is None
    assert machine.busy(10.0, 5.0, 2.4, 2) == "the process had 0.50 cores"
    assert machine.busy(10.0, 18.0, 6.04, 2) == "6.0 threads wanted 2 cores"
    assert machine.busy(10.0, 5.0, 3.0, 1) == "the process had 0.50 cores, 3.0 threads wanted 1 core"


def test_what_is_not_known_says_nothing():
    assert machine.busy(10.0, None, None, None) is None
    assert machine.busy(10.0, None, 9.0, None) is None
    assert machine.busy(0.0, 0.0, None, 2) is None
    assert machine.busy_in({"step_seconds": 10.0}) is None


def test_a_system_that_tells_no_load(monkeypatch):
    monkeypatch.delattr(os, "getloadavg")
    assert machine.load_average() is None


def test_the_clock_counts_processor_time():
    clock = Clock()
    sum(range(10**6))
    spent = clock.spent()
    assert spent.processor > 0
    assert spent.less(spent) == Spent()
    assert Spent().more(spent) == spent

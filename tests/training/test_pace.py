"""What is left of a run, from what it has taken."""

from attention.training.pace import Pace


def test_time_left():
    pace = Pace(batch=10)
    assert pace.left(updates=100, programs=4, examples=0) is None
    pace.updated(seconds=3.0, compiling=3.0)
    assert pace.left(updates=99, programs=4, examples=0) is None  # the first is under way
    pace.updated(seconds=0.6, compiling=0.0)
    # 98 updates of 0.6 s, 3 programs of 3 s, 50 examples of a third of 0.06 s
    assert abs(pace.left(updates=98, programs=4, examples=50) - (58.8 + 9.0 + 1.0)) < 1e-9
    pace.updated(seconds=5.6, compiling=5.0)
    pace.scoring = 0.1
    assert abs(pace.left(updates=97, programs=4, examples=50) - (58.2 + 8.0 + 5.0)) < 1e-9
    assert abs(pace.left(updates=97, programs=1, examples=0) - 58.2) < 1e-9  # more shapes than buckets

"""Times in words."""

import pytest

from attention.messages import duration


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (48, "48 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s")])
def test_durations(seconds, words):
    assert duration(seconds) == words

"""Progress of a run: exact plain lines for a file, one live line on a terminal."""

import re

import pytest

from attention.training.progress import Progress


def shown(live):
    progress = Progress(10, 4, live=live)
    progress.advance(5)
    progress.trained(5, [1.0, 3.0, None], 100.4)
    progress.say("member [3] stopped")
    progress.validated(5, [0.5, 0.25, None], share=True)
    progress.trained(6, [None, None], 99.0)
    progress.close()


def test_plain_lines(capsys):
    shown(live=False)
    assert capsys.readouterr().out.splitlines() == [
        "step 5/10  loss 2.0000  examples/s 100",
        "member [3] stopped",
        "step 5/10  validation 37.50%",
        "step 6/10  loss -  examples/s 99",
    ]


def test_what_is_no_terminal_gets_plain_lines(capsys):
    shown(live=None)
    assert "\r" not in capsys.readouterr().out


def lines(printed):
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed))


def test_a_live_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    shown(live=True)
    printed = capsys.readouterr().out
    assert "member [3] stopped" in [line.strip() for line in lines(printed)]
    assert "step 5/10  loss -  examples/s 99  validation 37.50%" in lines(printed)[-2]
    assert re.search(r" (-+:-+|\d+:\d+) left$", lines(printed)[-2])
    assert printed.count("\x1b[?25l") == printed.count("\x1b[?25h") == 1  # the cursor is hidden, and shown again


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_the_live_line_stays_one_line(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    progress = Progress(30000, 12345, live=True)
    progress.trained(12345, [0.5], 12345.0)
    progress.validated(12345, [0.843], share=True)
    progress.close()
    *frames, last = lines(capsys.readouterr().out)
    assert last == ""
    assert all(re.search(r"step (\d+/|\w*…)", frame) and len(frame) <= columns for frame in frames if frame)

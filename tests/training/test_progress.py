"""Progress of a run: exact plain lines for a file, one live line on a terminal."""

import re
import sys

import pytest

from attention import heartbeat
from attention.training.progress import Progress


def shown(live):
    progress = Progress(10, 4, live=live)
    assert heartbeat.under_way() == ["update 4 of 10 (0 s)"]
    progress.advance(5, left=130.0)
    assert heartbeat.under_way() == ["update 5 of 10, 50 % (0 s, about 2 min 10 s left)"]
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


def terminal(monkeypatch, columns):
    """Makes a terminal of stdout."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


def lines(printed):
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed))


def drawn():
    heartbeat._drawing[-1].refresh()


def test_a_live_line(capsys, monkeypatch):
    terminal(monkeypatch, 120)
    with heartbeat.watching():
        progress = Progress(10, 4)
        drawn()
        progress.advance(5, left=65.0)
        progress.trained(5, [1.0, 3.0, None], 100.4)
        progress.say("member [3] stopped")
        progress.validated(5, [0.5, 0.25, None], share=True)
        drawn()
        with heartbeat.doing("validating"):
            drawn()
        progress.close()
    printed = [line.strip() for line in lines(capsys.readouterr().out)]
    values = "loss 2.0000  examples/s 100  validation 37.50%"
    assert "member [3] stopped" in printed
    assert any(re.fullmatch(r"update 4 of 10 +0 s", line) for line in printed)
    assert any(re.fullmatch(rf"━+[╸╺]?━+ update 5 of 10  {values} +1 min 05 s left", line) for line in printed)
    assert any(re.fullmatch(rf"━+[╸╺]?━+ update 5 of 10  {values}: validating +1 min 05 s left", line) for line in printed)
    assert f"step 5/10  {values}" in printed  # what stays


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_the_live_line_stays_one_line(capsys, monkeypatch, columns):
    terminal(monkeypatch, columns)
    with heartbeat.watching():
        progress = Progress(30000, 12345)
        progress.advance(12345, left=12345.0)
        progress.trained(12345, [0.5], 12345.0)
        progress.validated(12345, [0.843], share=True)
        drawn()
        shown = lines(capsys.readouterr().out)
        progress.close()
    bars = [line for line in shown if "━" in line]
    assert bars
    assert all(re.search(r" up\w*.*… +205 min 45 s left$", line.rstrip()) and len(line) <= columns for line in bars)

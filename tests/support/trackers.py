"""What a run says of itself and what trackers show of it, both as points by name: ``{"train/loss": [(50, 2.3), ...], ...}``."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from tensorboardX.proto import event_pb2

from attention.runs.directory import RunDirectory
from attention.training import config, loop
from tests.support import toy

ROOT = Path(__file__).parent.parent.parent
# Trains the config of a JSON file, a moment after each update, so that a kill finds it at work.
SCRIPT = """
import json, sys, time
from attention.training import config, loop
class Slow(loop.Progress):
    def advance(self, step, left=None):
        super().advance(step)
        time.sleep(0.02)
loop.train(config.from_dict(json.load(open(sys.argv[1]))), sys.argv[2], progress=Slow)
"""


def points(run: RunDirectory, number: int = 0) -> dict[str, list[tuple[int, float]]]:
    """All that ``metrics.jsonl`` has of a member, and what ``result.json`` says of it on test."""
    found = defaultdict(list)
    for line in run.read_metrics().lines:
        split, step, attention = line.pop("split"), line.pop("step"), line.pop("attention", {})
        count = max(len(value) for value in line.values() if isinstance(value, list))
        for name, value in line.items():
            own = value[number] if isinstance(value, list) else value
            if own is not None:
                found[f"{split}/{name}"].append((step, own / count if name == "examples_per_second" else own))
        for name, members in attention.items():
            for layer, heads in enumerate(members[number] or ()):
                for head, value in enumerate(heads):
                    found[f"attention_{name}/layer{layer}_head{head}"].append((step, value))
    if run.finished:
        result = run.read_result()
        scores = result["members"][number]["test"]
        found |= {f"test/{name}": [(result["steps"], score)] for name, score in scores.items() if name != "count"}
    return dict(found)


def events(folder) -> dict[str, list[tuple[int, float]]]:
    """The scalars in the event files of a folder, file after file."""
    found = defaultdict(list)
    for file in sorted(folder.glob("events.out.tfevents.*")):
        raw, place = file.read_bytes(), 0
        while place + 16 < len(raw):
            (length,) = struct.unpack_from("<Q", raw, place)
            start, place = place + 12, place + 16 + length
            if place > len(raw):  # it was cut off
                break
            event = event_pb2.Event.FromString(raw[start : start + length])
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found[value.tag].append((event.step, value.simple_value))
    return dict(found)


def assert_shown(found, wanted):
    """Every point of ``wanted`` once and in order, in float32, and of these names no other."""
    for name, row in wanted.items():
        assert [step for step, _ in found[name]] == [step for step, _ in row], name
        np.testing.assert_allclose([value for _, value in found[name]], [value for _, value in row], rtol=1e-6, err_msg=name)
    series = {name for name in found if name.startswith(("train/", "validation/", "attention_", "test/"))}
    assert series == set(wanted)


def seconds(run: RunDirectory) -> list[float]:
    """Of each row that a member has, the seconds of training at the last line of training."""
    found, last = {}, 0.0
    for line in run.read_metrics().lines:
        last = line.get("seconds", last)
        found[line["step"]] = last
    return list(found.values())


def train(source, where, trackers="none", **training):
    """Two members of the toy config; returns the run."""
    loop.train(config.from_dict({**toy.fields(source, **training), "seeds": (0, 1), "trackers": trackers}), where)
    return RunDirectory(where)


def train_in_pieces(source, where, trackers, kills, before_kill=lambda process: None):
    """The same in processes of their own, each but the last killed once the run has so many lines; returns the run."""
    run, file = RunDirectory(where), where.with_suffix(".json")
    given = toy.fields(source, steps=150, eval_every=50, log_every=5, checkpoint_every=20)
    file.write_text(json.dumps({**given, "seeds": (0, 1), "trackers": trackers}))
    command = [sys.executable, "-c", SCRIPT, str(file), str(where)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for lines in kills:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        end = time.monotonic() + 120
        while _lines(run) < lines and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        before_kill(process)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it ended before the kill: train longer"
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    assert run.finished
    return run


def _lines(run):
    return run.metrics.read_bytes().count(b"\n") if run.metrics.exists() else 0

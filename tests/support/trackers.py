"""What a run says of itself and what trackers show of it, both as points by name: ``{"train/loss": [(50, 2.3), ...], ...}``."""

import struct
from collections import defaultdict

import numpy as np
from tensorboardX.proto import event_pb2

from attention.runs.directory import RunDirectory


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

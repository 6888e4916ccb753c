"""What a process with eight devices of a CPU finds, for ``test_devices``, which starts it: ``python -m`` this, with a folder.

Prints JSON: by name whether runs are equal bitwise, how far apart they are, and what crosses devices.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import jax
import numpy as np

from attention.evaluation import trained
from attention.runs import checkpoints, directory
from attention.training import config, describe, loop, recipe
from attention.training.progress import Progress
from tests.support import toy

CLOCK = ("seconds", "examples_per_second", "tokens_per_second")
CROSSING = ("all-gather", "all-to-all", "all-reduce", "collective-permute", "reduce-scatter")
HEADS, LENGTH, ROWS = 2, 16, 8
SECTIONS = {"model": {"encoder": "transformer(layers=1)", "mixer": f"attention(heads={HEADS})", "dim": 8}}
EVERYTHING = {"dropout": 0.2, "ema_decay": 0.9, "clip_norm": 0.5, "word_dropout": 0.1}


class Stopped(Progress):
    """Asks the process to stop after six updates."""

    def advance(self, *given) -> None:
        super().advance(*given)
        if given[0] == 6:
            os.kill(os.getpid(), signal.SIGINT)


def settings(source: str, seeds: tuple[int, ...], **training) -> config.Config:
    fields = {**toy.fields(source, **EVERYTHING, **training), **SECTIONS, "seeds": seeds}
    fields["data"] |= {"buckets": 1}
    return config.from_dict(fields)


def state(where: Path) -> dict[str, np.ndarray]:
    """The arrays of the last checkpoint."""
    with np.load(sorted((where / "checkpoints").glob("step-*"))[-1] / checkpoints.ARRAYS) as arrays:
        return {name: arrays[name] for name in arrays.files}


def said(where: Path) -> tuple:
    """Lines of metrics without what the clock says, scores, and predictions, each by member."""
    run = directory.RunDirectory(where)
    lines = [{k: v for k, v in line.items() if k not in CLOCK} for line in run.read_metrics().lines]
    return lines, run.read_result()["members"], run.read_predictions()


def alike(one: Path, other: Path) -> bool:
    """Whether two runs left the same behind, bitwise."""
    states = state(one), state(other)
    same = all(np.array_equal(states[0][name], states[1][name], equal_nan=True) for name in states[0])
    lines = [json.dumps(said(each)[:2]) for each in (one, other)]
    written = [said(each)[2] for each in (one, other)]
    return same and lines[0] == lines[1] and all(np.array_equal(written[0][name], written[1][name]) for name in written[0])


def member(where: Path, number: int, single: Path) -> bool:
    """Whether a member's weights, optimizer and scores are those of a run of its own, bitwise."""
    cohort, alone = state(where), state(single)
    same = all(np.array_equal(cohort[name][number : number + 1], alone[name], equal_nan=True) for name in alone)
    return same and said(where)[1][number] == said(single)[1][0]


def apart(one: Path, other: Path) -> float:
    """The largest difference of states and of losses.

    Biases of keys are left out: softmax takes no notice of them, so that their gradient is rounding alone, and Adam makes
    whole steps of it.
    """
    a, b = state(one), state(other)
    far = max(
        float(np.abs(a[name] - b[name]).max()) for name in a if a[name].dtype.kind == "f" and "['key']['bias']" not in name
    )
    losses = [[line.get("loss", line.get("nll")) for line in said(each)[0]] for each in (one, other)]
    return max(far, float(np.abs(np.array(losses[0]) - np.array(losses[1])).max()))


def crossing(made: config.Config) -> dict[str, list[str]]:
    """The shapes of what each kind of collective of the first group's update gives."""
    experiment = recipe.experiment(made)
    group = recipe.layout(made).groups[0]
    text = describe.lowered(experiment, describe.abstract_members(experiment), group).compile().as_text()
    found = {kind: re.findall(rf"= (.*?) {kind}(?:-start)?\(", text) for kind in CROSSING}
    return {kind: shapes for kind, shapes in found.items() if shapes}


def main(folder: Path) -> None:
    """Trains, compares and prints."""
    source, devices = toy.write_data(folder), jax.devices()
    assert len(devices) == 8

    def train(name: str, seeds: tuple[int, ...], count: int, progress=Progress, **training) -> Path:
        loop.train(settings(source, seeds, **training), folder / name, devices=devices[:count], progress=progress)
        return folder / name

    def stopped(name: str, seeds: tuple[int, ...], count: int) -> Path:
        with contextlib.suppress(SystemExit):
            train(name, seeds, count, Stopped)
        assert not (folder / name / "result.json").exists()
        return folder / name

    def on(where: Path, count: int, seeds: tuple[int, ...]) -> Path:
        """A copy of a run that was stopped, which goes on with so many devices."""
        shutil.copytree(where, folder / f"{where.name}_on_{count}")
        return train(f"{where.name}_on_{count}", seeds, count)

    found = {}
    with open(os.devnull, "w", encoding="utf-8") as sys.stdout:
        eight, twelve, three = (tuple(range(count)) for count in (8, 12, 3))
        on_8 = train("8_on_8", eight, 8)
        found["8 on 8"] = [member(on_8, seed, train(f"{seed}_alone", (seed,), 1)) for seed in (0, 3, 7)]
        evaluated = trained.load(str(on_8)).evaluate("test").members
        found["evaluated"] = [each["nll"] for each in evaluated] == [each["test"]["nll"] for each in said(on_8)[1]]

        twelve_on_1 = train("12_on_1", twelve, 1)
        found["12 on 8"] = alike(train("12_on_8", twelve, 8), twelve_on_1)
        cut = stopped("12_cut", twelve, 8)
        found["12 on 8, then 1"], found["12 on 8, then 2"] = (alike(on(cut, count, twelve), twelve_on_1) for count in (1, 2))

        three_on_1 = train("3_on_1", three, 1)
        found["3 on 2"] = alike(train("3_on_2", three, 2), three_on_1)
        three_on_8 = train("3_on_8", three, 8)
        found["3 on 8"] = apart(three_on_8, three_on_1)
        cut = stopped("3_cut", three, 8)
        found["3 on 8, then 2"] = apart(on(cut, 2, three), three_on_1)

        found["1 on 8"] = apart(train("1_on_8", (0,), 8), folder / "0_alone")
        parts = {"accumulation": 2, "batch_size": 16}
        in_parts = [train(f"parts_on_{count}", (0,), count, **parts) for count in (8, 1)]
        found["1 on 8 in parts"] = apart(*in_parts)

        found["crossing"] = [crossing(settings(source, (0,))), crossing(settings(source, (0,), **parts))]
        found["crossing of 8"] = crossing(settings(source, eight))
        runs = [directory.RunDirectory(each) for each in (on_8, three_on_8)]
        found["environments"] = [run.read_environment() for run in runs]
        found["results"] = [{name: run.read_result()[name] for name in ("devices", "idle_devices")} for run in runs]
        found["described"] = describe.describe(settings(source, three)).splitlines()[-1]
    print(json.dumps(found), file=sys.__stdout__)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

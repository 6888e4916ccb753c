"""Cohorts on the devices of a machine: which members lie where, and that they are what they are on one device."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from attention.commands import train as entry
from attention.training import command_line
from attention.training.cohort import devices
from tests.support import toy
from tests.training.eight_devices import HEADS, LENGTH, ROWS

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What a process with eight devices finds."""
    folder = tmp_path_factory.mktemp("devices")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "ATTENTION_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.training.eight_devices", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("members", "count", "rows", "sizes", "shared", "idle"),
    [
        (1, 1, 32, [1], 1, 0),
        (5, 1, 32, [5], 1, 0),
        (8, 8, 32, [1] * 8, 1, 0),
        (12, 8, 32, [2] * 4 + [1] * 4, 1, 0),
        (3, 2, 32, [2, 1], 1, 0),
        (3, 8, 32, [1] * 3, 2, 2),
        (1, 8, 32, [1], 8, 0),
        (1, 8, 30, [1], 6, 2),
        (1, 8, 7, [1], 7, 1),
        (2, 8, 33, [1] * 2, 3, 2),
        (5, 8, 32, [1] * 5, 1, 3),
    ],
)
def test_every_member_is_on_one_group_and_no_device_is_in_two(members, count, rows, sizes, shared, idle):
    there = [f"device {number}" for number in range(count)]
    groups, spare = devices.layout(members, rows, there)
    assert [group.end - group.first for group in groups] == sizes
    assert [each for group in groups for each in range(group.first, group.end)] == list(range(members))
    assert {len(group.devices) for group in groups} == {shared}
    assert len(spare) == idle
    assert [*(device for group in groups for device in group.devices), *spare] == there


@pytest.mark.parametrize(
    ("count", "among", "sizes"), [(1, 5, [1]), (8, 9, [1] * 8), (8, 3, [3, 3, 2]), (8, 1, [8]), (2, 0, [2])]
)
def test_cohorts_share_devices(count, among, sizes):
    shares = devices.shares(range(count), among)
    assert [len(share) for share in shares] == sizes
    assert [device for share in shares for device in share] == list(range(count))


def test_a_tree_is_spread_and_joined():
    groups = devices.layout(3, 8, jax.devices()[:1]).groups
    tree = {"a": np.arange(6.0).reshape(3, 2), "b": np.arange(3)}
    spread = devices.spread(tree, groups)
    assert jax.tree.all(jax.tree.map(np.array_equal, spread.joined(), tree))
    assert jax.tree.all(jax.tree.map(np.array_equal, spread.member(1).joined(), {"a": tree["a"][1:2], "b": tree["b"][1:2]}))
    assert devices.usable() == tuple(jax.local_devices())


@pytest.mark.parametrize("what", ["12 on 8", "3 on 2", "12 on 8, then 1", "12 on 8, then 2"])
def test_members_on_devices_of_their_own_are_bitwise_those_of_one_device(found, what):
    assert found[what]


def test_members_of_eight_on_eight_devices_are_bitwise_single_runs(found):
    assert found["8 on 8"] == [True] * 3
    assert found["evaluated"]


@pytest.mark.parametrize("what", ["1 on 8", "1 on 8 in parts", "3 on 8", "3 on 8, then 2"])
def test_members_on_several_devices_are_those_of_one_but_for_rounding(found, what):
    assert 0 <= found[what] < 1e-4


def test_sums_over_rows_are_all_that_crosses_devices(found):
    """No weights are gathered and no scores; where there are parts, the tokens of a batch go to those that compute them."""
    whole, parts = found["crossing"]
    assert list(whole) == ["all-reduce"]
    assert "all-reduce" in parts
    scores = re.compile(rf"\[\d+,{HEADS},{LENGTH},{LENGTH}\]")
    for kinds in (whole, parts):
        assert not scores.search(json.dumps(kinds))
    moved = json.dumps([shapes for kind, shapes in parts.items() if kind != "all-reduce"])
    numbers = [math.prod(map(int, sizes.split(","))) for sizes in re.findall(r"f32\[([\d,]+)\]", moved)]
    assert max(numbers, default=0) <= 2 * ROWS  # the weights of rows
    assert found["crossing of 8"] == {}


def test_what_is_used_and_what_is_idle_is_said(found):
    eight, three = found["environments"]
    assert (eight["device_count"], eight["devices_used"], eight["idle_devices"]) == (8, 8, [])
    assert (three["device_count"], three["devices_used"]) == (8, 6)
    assert three["idle_devices"] == found["results"][1]["idle_devices"]
    assert len(three["idle_devices"]) == 2
    assert found["results"][0] == {"devices": 8, "idle_devices": []}
    assert re.fullmatch(r"devices: 6 of 8 devices \(cpu\), one member on 2; idle: \S+, \S+", found["described"])


def test_one_of_several_tasks_of_slurm_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_NTASKS", "4")
    source = toy.write_data(tmp_path)
    code = command_line.run_main(entry.main, ["train.py", "--config=smoke", f"--config.data.source={source}"])
    said = capsys.readouterr().err
    assert code == 2
    assert re.search(r"SLURM_NTASKS=4: one process per run.*--ntasks=1", said)
    assert not (tmp_path / "runs").exists()

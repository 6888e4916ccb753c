"""An encoder of a page's length in Linen and in NNX, packed, padded, causal and not: it learns, and is split over 8 devices."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import flax_encoders as encoders

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("framework", encoders.FRAMEWORKS)
@pytest.mark.parametrize("mask", ["document", "causal & document"])
def test_it_learns(framework, mask):
    losses = encoders.trained(framework, mask, updates=60)
    assert losses[-1] < 0.5 * losses[0], losses[::10]


def test_no_scores_are_gathered():
    """Eight devices: gradients and, over heads, outputs are summed; nothing is brought together."""
    code = "from tests.support.flax_encoders import *; "
    code += "print({(each, split): collectives(each, split) for each in FRAMEWORKS for split in ('batch', 'heads')})"
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    assert set(map(str, ast.literal_eval(done.stdout).values())) == {"['all-reduce']"}

"""The table of the encodings: one row per variant, collected from the modules of the families."""

import dataclasses
import functools
import importlib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import positioned
from attention.records import Call
from tests.support.encoding_row import D, H, L, N, Row
from tests.support.helpers import jit


def _families() -> dict[str, Row]:
    """Every ``encodings_<family>.py`` beside this file defines ``ROWS``, by name of the variant."""
    rows: dict[str, Row] = {}
    for path in sorted(Path(__file__).parent.glob("encodings_*.py")):
        found = importlib.import_module(f"tests.support.{path.stem}").ROWS
        assert not rows.keys() & found.keys()
        rows |= found
    return rows


@functools.cache
def layer(spec: str, mask: str = "full") -> tuple[Any, Any]:
    """The record, and embeddings of tokens, `embed` and one layer of attention: all the places where positions can enter."""
    record = attention.build("encoding", spec)

    def run(params, x, call):
        call = dataclasses.replace(call, max_length=L)
        moved = positioned(record, params, call, x.shape[:-1], x.shape[:-1])
        x = record.embed(params, x, jnp.zeros(x.shape[:-1], jnp.int32), moved)
        query = key = value = x.reshape(*x.shape[:-1], N, H)
        options = {"encoding": record, "params": {"encoding": params}, "x": x, "mask": mask, "encoding_call": moved}
        return attention.attend(query, key, value, call=call, **options)

    return record, jit(run)


def positions(*ranges: Any) -> Call:
    """A call with explicit positions, one range per example."""
    found = jnp.asarray(np.stack(ranges), jnp.int32)
    return Call(found, found)


ROWS = {
    "none": Row("none", directed=False, ordered=False),
    "sinusoidal": Row(
        "sinusoidal",
        moved="other",
        options={"base": "50.0", "layout": "concat", "denominator": "half_minus_one", "learned_scale": "True"},
    ),
    "learned": Row("learned", (L * D, 0), "other", options={"max_length": "20"}, max_length="dims"),
    "rope": Row(
        "rope",
        options={
            "base": "50.0",
            "fraction": "0.5",
            "layout": "half",
            "scaling": "pi, factor=2.0",
            "factor": "2.0, scaling=ntk",
            "train_length": "10, scaling=dynamic_ntk",
            "beta_fast": "4.0, scaling=yarn, factor=3.0",
            "beta_slow": "2.0, scaling=yarn, factor=3.0",
            "truncate": "False, scaling=yarn, factor=3.0",
            "low": "0.5, scaling=llama3, factor=3.0",
            "high": "8.0, scaling=llama3, factor=3.0",
            "factors": "(1.0, 2.0, 3.0, 4.0), scaling=longrope",
            "attention_factor": "2.0, scaling=yarn",
        },
    ),
    "alibi": Row("alibi", directed=False, options={"form": "asymmetric"}),
    "t5": Row(
        "t5(buckets=8, max_distance=12)",
        (8 * N, 0),
        options={"buckets": "8", "max_distance": "20", "bidirectional": "False"},
    ),
    "shaw": Row("shaw(max_distance=3)", (0, 2 * 7 * H), options={"max_distance": "2", "values": "False"}),
}
ROWS |= _families()

"""The table of the encodings: one row per variant, collected from the modules of the families."""

import functools
import importlib
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from helpers import DIMS, jit

import attention
from attention.records import Call

D, N, H, L = DIMS.model_dim, DIMS.num_heads, DIMS.head_dim, DIMS.max_length


class Row(NamedTuple):
    """What a test knows of a variant.

    Attributes:
      spec: small enough to test; reaches every parameter with 24 positions from 0 to 47.
      count: parameters shared by the layers, and of each layer.
      moved: what scores do when all positions move by 20: "same", or "other".
      directed: whether reading the sequence backwards shows.
      options: what every option of `build` can be set to beside its default.
      mask: the mask it is defined under.
      max_length: the fact.
      ordered: whether the order of tokens matters at all.
      by_position: whether explicit positions decide alone, and not the order of the array.
    """

    spec: str
    count: tuple[int, int] = (0, 0)
    moved: str = "same"
    directed: bool = True
    options: dict[str, str] = {}  # noqa: RUF012
    mask: str = "full"
    max_length: Any = None
    ordered: bool = True
    by_position: bool = True


def _families() -> dict[str, Row]:
    """Every ``encodings_<family>.py`` beside this file defines ``ROWS``, by name of the variant."""
    rows: dict[str, Row] = {}
    for path in sorted(Path(__file__).parent.glob("encodings_*.py")):
        found = importlib.import_module(path.stem).ROWS
        assert not rows.keys() & found.keys()
        rows |= found
    return rows


@functools.cache
def layer(spec: str, mask: str = "full") -> tuple[Any, Any]:
    """The record, and embeddings of tokens, `embed` and one layer of attention: all the places where positions can enter."""
    record = attention.build("encoding", spec)

    def run(params, x, call):
        moved = record.positions(params, call)
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
    "rope": Row("rope", options={"base": "50.0", "fraction": "0.5", "layout": "half"}),
    "alibi": Row("alibi", directed=False, options={"form": "asymmetric"}),
    "t5": Row(
        "t5(buckets=8, max_distance=12)",
        (8 * N, 0),
        options={"buckets": "8", "max_distance": "20", "bidirectional": "False"},
    ),
    "shaw": Row("shaw(max_distance=3)", (0, 2 * 7 * H), options={"max_distance": "2", "values": "False"}),
}
ROWS |= _families()

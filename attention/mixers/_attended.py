"""The way from heads through ``attend`` with what the context says."""

from typing import Any

import jax

from attention.attend import run
from attention.records import Call, Context


def attended(query: jax.Array, key: jax.Array, value: jax.Array, x: jax.Array, context: Context, call: Call) -> jax.Array:
    """The output ``[*B T N E]``; weights go to ``context.record`` where there is one."""
    output, weights = weighed(query, key, value, x, context, call)
    if context.record is not None:
        context.record("weights", weights)
    return output


def weighed(
    query: jax.Array, key: jax.Array, value: jax.Array, x: jax.Array, context: Context, call: Call
) -> tuple[jax.Array, Any]:
    """The output and the weights, None where nothing is recorded."""
    return run(
        context.parts,
        query,
        key,
        value,
        params=context.params,
        x=x,
        call=call,
        encoding_call=context.encoding_call,
        dropout=context.dropout,
        kernel=context.kernel,
        weights=context.record is not None,
    )

"""Arrays of other types than the floating point numbers that public functions are for."""

import ast
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import config

import attention
from attention import specs
from tests.support.helpers import unchecked


@pytest.fixture(autouse=True)
def as_users_call_them():
    """Without the hook that checks types."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def _examples():
    """The public functions, and what the examples of their documentation give them."""
    space = {"attention": attention, "jax": jax, "jnp": jnp, "given": lambda *args, **options: (args, options)}
    for kind in attention.PURE_KINDS:
        for public in (name for variant in attention.names(kind) for name in specs.module(kind, variant).__all__):
            function = unchecked(getattr(attention, public))
            lines = inspect.getdoc(function).partition("Example:\n")[2].split("\n\n")[0].splitlines()
            if len(lines) == 2:  # with its result
                tree = ast.parse(lines[0].strip().removeprefix(">>> "), mode="eval")
                calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
                (call,) = (node for node in calls if ast.unparse(node.func) == f"attention.{public}")
                call.func = ast.copy_location(ast.Name("given", ast.Load()), call.func)
                given = eval(compile(ast.Expression(call), public, "eval"), space)
                yield pytest.param(function, *given, id=public)


def _numbers(array):
    return isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jnp.floating)


@pytest.mark.parametrize(("function", "args", "options"), list(_examples()))
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.complex64])
def test_right_or_refused(function, args, options, dtype):
    """Whole numbers give what the same floats give; what is complex does not lose a part without a word."""
    first = next((i for i, each in enumerate(args) if _numbers(each)), None)
    if first is None:
        return
    given = args[first] + 1j if dtype == jnp.complex64 else args[first]
    run = lambda array: function(*args[:first], array, *args[first + 1 :], **options)
    try:
        found = run(given.astype(dtype))
    except ValueError as error:
        if f"floating point numbers are wanted, got {jnp.dtype(dtype).name}" in str(error):
            return
        raise
    for leaf, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(run(given.astype(dtype).real.astype(jnp.float32)))):
        if dtype == jnp.complex64:
            assert leaf.dtype in (jnp.complex64, bool) or not np.allclose(leaf, wanted)  # or its size counts
        else:
            np.testing.assert_allclose(leaf, wanted, atol=1e-6)

"""The dense kernel beside the chunked one on texts of 90 tokens, for the tests of what masks let a kernel skip."""

import numpy as np

from attention.records import Mask
from tests.support.helpers import assert_close, jit, normal, value_and_gradients

T = 90
LENGTHS = np.array([[T], [61]])
SEGMENTS = np.sort(np.random.default_rng(0).integers(0, 4, (2, T)), axis=1).astype(np.int32)


def dense_and_chunked(arrays, **options):
    """Checks that value and gradients are the same; returns the dense ones."""
    upstream = normal(6, *arrays[0].shape[:-1], arrays[2].shape[-1])

    @jit
    def both(arrays, options):
        options = {**static, **options}
        return tuple(value_and_gradients(arrays, upstream, kernel=kernel, **options) for kernel in ("dense", "chunked"))

    static = {name: option for name, option in options.items() if isinstance(option, (str, Mask))}
    dense, chunked = both(arrays, {name: option for name, option in options.items() if name not in static})
    assert_close(chunked, dense)
    return dense

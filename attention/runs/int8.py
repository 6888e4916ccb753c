"""Weights as int8, with a scale for each channel of their last axis."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def split(leaves: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The leaves, those of two axes or more as int8, and the scales of these by the same names."""
    values, scales = dict(leaves), {}
    for name, leaf in leaves.items():
        if leaf.ndim > 1 and leaf.dtype == np.float32:
            values[name], scales[name] = _quantized(leaf)
    return values, scales


def joined(values: Mapping[str, Any], scales: Mapping[str, Any]) -> dict[str, Any]:
    """The float32 that leaves and scales stand for; NumPy's, or traced."""
    return {name: leaf.astype(np.float32) * scales[name] if name in scales else leaf for name, leaf in values.items()}


def _quantized(leaf: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers in [-127, 127] and what they are times; the largest of a channel is 127."""
    scale = np.abs(leaf).max(axis=tuple(range(leaf.ndim - 1)), keepdims=True) / np.float32(127)
    scale = np.where(scale > 0, scale, np.float32(1))
    return np.rint(leaf / scale).astype(np.int8), scale

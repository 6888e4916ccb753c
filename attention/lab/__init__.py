"""The laboratory: ablation sweeps, and what their results can and cannot say."""

from attention import installation as _installation

_installation.require("ml_collections", "absl", "flax", "optax", "rich", "pyarrow", "matplotlib", "jinja2")

"""Training: from a config to a run directory.

Example:
  >>> from attention.training import config
  >>> attention.train(config.from_dict({"data": {"source": "trec6"}, "seeds": (0, 1, 2)}), "runs/trec6")
"""

from attention import installation as _installation

_installation.require("absl", "ml_collections", "flax", "optax", "rich")

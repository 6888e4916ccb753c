"""Training and evaluation of text classifiers.

Example:
  >>> from attention.training import config, load, train
  >>> train(config.from_dict({"data": {"source": "trec6"}, "seeds": (0, 1, 2)}), "runs/trec6")
  >>> load("runs/trec6").predict(["Who wrote Hamlet?"]).labels
"""

from attention.training.evaluate import Trained, load
from attention.training.loop import train

__all__ = ["Trained", "load", "train"]

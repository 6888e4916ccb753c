"""A trained run in a new process: scores, predictions and what is printed of them.

Example:
  >>> attention.evaluation.load("runs/trec6").predict(["Who wrote Hamlet?"]).labels
"""

from attention.evaluation.trained import Trained, load

__all__ = ["Trained", "load"]

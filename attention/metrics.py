"""Scores of a classifier, from logits and labels: NumPy, float64.

Logits are ``[n C]`` and labels ``[n]`` integers of 0 to C-1; an example without a label (-1) is an error here. The
prediction is the class of the largest logit, the first of equals. A row of logits that is not finite predicts no class
at all: it counts as wrong, and makes ``nll`` and ``ece`` NaN.
"""

from collections.abc import Sequence

import numpy as np

BINS = 15


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities ``exp(x_c) / sum_c exp(x_c)`` of ``[... C]`` logits, float64."""
    logits = np.asarray(logits, np.float64)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def predictions(logits: np.ndarray) -> np.ndarray:
    """The predicted class of each row of ``[... C]`` logits, -1 where one of them is not finite."""
    logits = np.asarray(logits)
    return np.where(np.isfinite(logits).all(axis=-1), logits.argmax(axis=-1), -1)


def evaluate_logits(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy, macro-F1, negative log likelihood and calibration error.

    * accuracy: share of examples whose prediction is the label;
    * macro_f1: mean over classes of ``2 tp / (2 tp + fp + fn)``, over the classes that occur among the labels or the
      predictions (scikit-learn's ``f1_score(average="macro")``): a class that is in neither says nothing;
    * nll: mean of ``-log p(label)``, in nats;
    * ece: ``sum_b n_b / n |accuracy_b - confidence_b|`` over 15 bins ``(b/15, (b+1)/15]`` of the confidence, which is
      the probability of the predicted class.

    Args:
      logits: ``[n C]``.
      labels: ``[n]`` integers, 0 to C-1.

    Returns:
      ``{"accuracy", "macro_f1", "nll", "ece", "count"}``; count is n.

    Raises:
      ValueError: for no examples, labels that are missing or out of range, or shapes that do not fit.
    """
    logits, labels = _checked(logits, labels)
    predicted = predictions(logits)
    correct = predicted == labels
    finite = predicted >= 0
    matrix = counted(labels[finite], predicted[finite], logits.shape[1])
    true_positives = np.diag(matrix)
    # labels + predictions = 2 tp + fp + fn; labels of rows that predict nothing are false negatives
    support = np.bincount(labels, minlength=logits.shape[1]) + matrix.sum(axis=0)
    occurring = support > 0
    nll, ece = float("nan"), float("nan")
    if finite.all():
        peak = logits.max(axis=1, keepdims=True)
        log_partition = np.log(np.exp(logits - peak).sum(axis=1)) + peak[:, 0]
        nll = float(np.mean(log_partition - logits[np.arange(len(labels)), labels]))
        ece = _calibration_error(softmax(logits).max(axis=1), correct)
    return {
        "accuracy": float(correct.mean()),
        "macro_f1": float(np.mean(2 * true_positives[occurring] / support[occurring])),
        "nll": nll,
        "ece": ece,
        "count": len(labels),
    }


def confusion(logits: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each label (row) was predicted as each class (column), int64 ``[C C]``.

    Raises:
      ValueError: as ``evaluate_logits``, for ``num_classes`` other than C, and for logits that are not finite.
    """
    logits, labels = _checked(logits, labels)
    if logits.shape[1] != num_classes:
        raise ValueError(f"logits have {logits.shape[1]} classes, num_classes is {num_classes}")
    predicted = predictions(logits)
    if (predicted < 0).any():
        raise ValueError(f"logits of example {int(np.argmax(predicted < 0))} are not finite; they predict no class")
    return counted(labels, predicted, num_classes)


def summarize(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean, sample standard deviation, and half width of the 95 % Student-t interval of the mean.

    ``std = sqrt(sum (x - mean)^2 / (n-1))``, ``ci95 = t(0.975, n-1) std / sqrt(n)``; both None for one value, of which
    nothing is known about the spread. All are None where a value is None, which is one that is not defined.

    Raises:
      ValueError: for no values.
    """
    if any(value is None for value in values):
        return {"mean": None, "std": None, "ci95": None}
    data = np.asarray(values, np.float64)
    if data.ndim != 1 or not len(data):
        raise ValueError(f"a summary wants one value or more, got {values!r}")
    if len(data) == 1:
        return {"mean": float(data[0]), "std": None, "ci95": None}
    std = float(data.std(ddof=1))
    # stdtrit is the quantile function behind scipy.stats.t, without the second that importing scipy.stats takes; this import
    # takes a third of one, which the first update of a run need not wait for.
    from scipy import special

    quantile = float(special.stdtrit(len(data) - 1, 0.975))
    return {"mean": float(data.mean()), "std": std, "ci95": quantile * std / len(data) ** 0.5}


def _checked(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"logits [n C] and labels [n] wanted, got shapes {logits.shape} and {labels.shape}")
    if not len(labels):
        raise ValueError("no examples to evaluate")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels want integers, got dtype {labels.dtype}")
    outside = (labels < 0) | (labels >= logits.shape[1])
    if outside.any():
        place = int(np.argmax(outside))
        what = "has no label" if labels[place] == -1 else f"has label {labels[place]}"
        raise ValueError(f"example {place} {what}; metrics want labels of 0 to {logits.shape[1] - 1} for all")
    return logits, labels


def macro_f1(matrix: np.ndarray) -> float:
    """The mean of ``2 tp / (2 tp + fp + fn)`` over the classes that occur in a matrix of ``counted``."""
    support = matrix.sum(axis=0) + matrix.sum(axis=1)
    occurring = support > 0
    return float(np.mean(2 * np.diag(matrix)[occurring] / support[occurring]))


def counted(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each label (row) goes with each prediction (column), int64 ``[C C]``; both are 0 to C-1."""
    return np.bincount(labels * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def _calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=correct.astype(np.float64) - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))

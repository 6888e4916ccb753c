"""Scores against numbers worked out by hand, against loops written again, and against published tables."""

import math

import numpy as np
import pytest

from attention import metrics


def logits_of(probabilities):
    return np.log(np.asarray(probabilities))


def test_by_hand():
    # Predictions 0, 0, 1, 1 for labels 0, 1, 1, 2; class 3 is in neither and does not count.
    logits = logits_of([[0.7, 0.1, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1], [0.2, 0.5, 0.2, 0.1], [0.1, 0.7, 0.1, 0.1]])
    scores = metrics.evaluate_logits(logits, np.array([0, 1, 1, 2]))
    assert scores["count"] == 4
    assert scores["accuracy"] == 0.5
    # F1 of class 0: 2/(2+1); of class 1: 2/(2+1+1); of class 2: 0
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3, abs=1e-15)
    assert scores["nll"] == pytest.approx(-(math.log(0.7) + math.log(0.2) + math.log(0.5) + math.log(0.1)) / 4)
    # Bins of width 1/15: 0.7 and 0.7 in (10/15, 11/15], 0.6 = 9/15 in (8/15, 9/15], 0.5 in (7/15, 8/15]
    assert scores["ece"] == pytest.approx((abs(1 - 1.4) + abs(0 - 0.6) + abs(1 - 0.5)) / 4)


def test_confusion_by_hand():
    logits = logits_of([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1]])
    table = metrics.confusion(logits, np.array([0, 1, 1, 2]), 3)
    np.testing.assert_array_equal(table, [[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    with pytest.raises(ValueError, match="num_classes is 4"):
        metrics.confusion(logits, np.array([0, 1, 1, 2]), 4)


def slow_scores(logits, labels):
    """The definitions as loops over examples and classes."""
    n, C = logits.shape
    correct, nll = 0, 0.0
    confidences, hits, predicted = [], [], []
    for row, label in zip(logits.astype(np.longdouble), labels):
        p = np.exp(row - max(row))
        p = p / sum(p)
        best = max(range(C), key=lambda c: (row[c], -c))
        predicted.append(best)
        confidences.append(p[best])
        hits.append(best == label)
        correct += best == label
        nll -= np.log(p[label])
    f1 = []
    for c in range(C):
        tp = sum(1 for a, b in zip(predicted, labels) if a == c and b == c)
        fp = sum(1 for a, b in zip(predicted, labels) if a == c and b != c)
        fn = sum(1 for a, b in zip(predicted, labels) if a != c and b == c)
        if tp + fp + fn:
            f1.append(2 * tp / (2 * tp + fp + fn))
    ece = 0.0
    for b in range(15):
        inside = [i for i in range(n) if b / 15 < confidences[i] <= (b + 1) / 15]
        if inside:
            accuracy = sum(hits[i] for i in inside) / len(inside)
            ece += len(inside) / n * abs(accuracy - sum(confidences[i] for i in inside) / len(inside))
    return {"accuracy": correct / n, "macro_f1": sum(f1) / len(f1), "nll": nll / n, "ece": ece, "count": n}


@pytest.mark.parametrize(("n", "C", "scale"), [(1, 2, 1.0), (200, 2, 3.0), (300, 10, 2.0), (50, 40, 30.0)])
def test_against_loops(n, C, scale):
    random = np.random.default_rng(n)
    logits = (random.normal(size=(n, C)) * scale).astype(np.float32)
    labels = random.integers(C, size=n)
    scores, slow = metrics.evaluate_logits(logits, labels), slow_scores(logits, labels)
    for name in slow:
        assert scores[name] == pytest.approx(float(slow[name]), rel=1e-12, abs=1e-14), name


def test_huge_logits_neither_overflow_nor_lose_the_label():
    scores = metrics.evaluate_logits(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([1, 1]))
    assert scores["nll"] == pytest.approx(5e3)
    assert scores["ece"] == pytest.approx(0.5)


def test_bins_are_closed_above():
    # Confidence 1 shares (14/15, 1] with 0.95; were bins closed below, the error would be (0.05 + 1) / 2.
    scores = metrics.evaluate_logits(np.array([[1e4, 0.0], [math.log(0.95), math.log(0.05)]]), np.array([1, 0]))
    assert scores["ece"] == pytest.approx(abs(0.05 - 1) / 2)


def test_a_row_that_is_not_finite_is_wrong_and_shows():
    logits = np.array([[2.0, 1.0], [np.nan, 0.0], [np.inf, 0.0]])
    scores = metrics.evaluate_logits(logits, np.array([0, 0, 0]))
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["macro_f1"] == pytest.approx(0.5)  # tp 1, fn 2
    assert math.isnan(scores["nll"])
    assert math.isnan(scores["ece"])
    with pytest.raises(ValueError, match="example 1 are not finite"):
        metrics.confusion(logits, np.array([0, 0, 0]), 2)


def test_equal_logits_predict_the_first():
    assert metrics.predictions(np.zeros((2, 3))).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((2, 3)), [0, -1], "example 1 has no label"),
        (np.zeros((2, 3)), [3, 0], "example 0 has label 3.*0 to 2"),
        (np.zeros((0, 3)), np.zeros(0, int), "no examples"),
        (np.zeros((2, 3)), [0.0, 1.0], "integers"),
        (np.zeros((2, 3)), [0], r"shapes \(2, 3\) and \(1,\)"),
        (np.zeros(3), [0, 1, 2], "shapes"),
    ],
)
def test_bad_input(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        metrics.evaluate_logits(logits, np.asarray(labels))


# Quantiles 0.975 of Student's t as printed in tables, by degrees of freedom.
@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (9, 2.26216), (30, 2.04227)]
)
def test_interval_uses_the_published_quantile(freedom, quantile):
    n = freedom + 1
    values = np.random.default_rng(freedom).normal(size=n)
    mean = sum(values) / n
    std = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    summary = metrics.summarize(values)
    assert summary["mean"] == pytest.approx(mean)
    assert summary["std"] == pytest.approx(std)
    assert summary["ci95"] == pytest.approx(quantile * std / math.sqrt(n), rel=2e-6)


def test_one_value_has_no_spread():
    assert metrics.summarize([0.9]) == {"mean": 0.9, "std": None, "ci95": None}
    assert metrics.summarize([0.5, 0.5]) == {"mean": 0.5, "std": 0.0, "ci95": 0.0}
    with pytest.raises(ValueError, match="one value or more"):
        metrics.summarize([])

"""The words of a report, each explained in a line."""

from attention.lab.results import Results

_WORDS = {
    "Variant": "one of the things compared: a change to the fields of the config.",
    "Baseline": "the variant that the others are compared with.",
    "Seed": "the number from which a training draws its chance: the first weights, the order of the texts, dropout.",
    "Member": "one training: a variant with one seed.",
    "Trivial rule": "an answer without a model, as always the most frequent class; a model should be better.",
    "Rival": "a simple model of the same texts, fitted once; linear is TF-IDF of words and pairs with logistic regression.",
    "Split": "a part of the data: train is learned from, validation chooses the best weights, test gives the scores.",
    "Percentage point": "the unit of a difference between two percentages: 82 % is 2 points more than 80 %.",
}
_METRICS = {
    "accuracy": "the share of texts whose class is right.",
    "macro_f1": "the mean over classes of F1, which is 1 where a class is given to all of its texts and to no other.",
    "nll": "negative log-likelihood: how little probability the right answers were given, on average; lower is better.",
    "ece": "expected calibration error: how far the probabilities given are from the share that is right; lower is better.",
    "exact_match": "the share of texts of which every token is right.",
    "token_accuracy": "the share of tokens that are right.",
    "micro_f1": "F1 over all texts and labels: 1 where every label of every text is told, and no other.",
    "subset_accuracy": "the share of texts whose labels are told, all of them and no other.",
    "mse": "the mean of the squared errors, in the square of the unit of the numbers; lower is better.",
    "mae": "the mean of the absolute errors, in the unit of the numbers; lower is better.",
    "pearson": "the correlation of the numbers told with the right ones; 1 is on a line.",
    "spearman": "the correlation of their ranks; 1 is the same order.",
    "accuracy_beyond_training": "accuracy on the texts longer than any in training.",
}


def explained(results: Results) -> list[tuple[str, str]]:
    """Pairs of a word and its meaning: those of every report, and the metrics of this one."""
    metrics = [(name.replace("_", " "), _METRICS[name]) for name in results.sweep["metrics"] if name in _METRICS]
    return [*_WORDS.items(), *metrics]

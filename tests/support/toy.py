"""A data set and a config small enough to train in a moment, for the tests of the trainer."""

import numpy as np

WORDS = (["the", "a", "of", "in"], ["oslo", "rome", "bonn", "graz"], ["apple", "plum", "fig", "pear"])
LABELS = ("neither", "city", "fruit")


def write_split(path, count, seed, labelled=True):
    """A TSV whose label is the kind of its last word, the labels unevenly often."""
    random = np.random.default_rng(seed)
    lines = ["text\tlabel" if labelled else "text"]
    for number in range(count):
        label = (0, 1, 1, 2, 2, 2)[number % 6] if number > 2 else number
        text = " ".join([*random.choice(WORDS[0], random.integers(1, 14)), random.choice(WORDS[label])])
        lines.append(f"{text}\t{LABELS[label]}" if labelled else text)
    path.write_text("\n".join(lines) + "\n")


def write_data(folder, test=True):
    """Writes the splits and returns the spec of their source."""
    for seed, name in enumerate(("train", "validation", "test")):
        write_split(folder / f"{name}.tsv", 50 if name == "train" else 30, seed)
    names = ("train", "validation", "test") if test else ("train", "validation")
    paths = (f"{name}='{folder / name}.tsv'" for name in names)
    return f"files({', '.join(paths)})"


def fields(source, **training):
    """The fields of a config that trains in a moment; ``training`` overrides."""
    return {
        "rival": "none",  # most tests are about something else
        "data": {"source": source, "max_length": 16, "buckets": 2},
        "model": {"encoder": "embeddings", "dim": 8},  # a bag of words: compiled in no time
        "training": {
            "steps": 12,
            "warmup": 2,
            "batch_size": 8,
            "learning_rate": 0.02,
            "eval_every": 4,
            "log_every": 3,
            **training,
        },
    }

"""Word vectors from unlabelled text, in half a minute, for what wants pretrained ones.

python -m studies.vectors --source=ag_news --out=runs/tutorials/vectors.txt [--dim=64] [--words=10000]

Without a network: ``--source="ag_news(path='FOLDER')"``, a local copy.

Counts how often a word stands within five words of another, takes the positive pointwise mutual information
``max(0, log(P(w, c) / (P(w) P¾(c))))`` of the frequent contexts, and keeps its first singular vectors times the square
root of the singular values: Levy, Goldberg and Dagan 2015 (TACL 3), with their smoothed contexts. The file is in the format of
GloVe, which ``config.model.vectors`` reads; channels have a standard deviation of 1 over the words.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attention import specs
from attention.training import command_line

WINDOW = 5
CONTEXTS = 2000  # the most frequent words, as contexts


def counts(ids: Sequence[np.ndarray], words: int) -> np.ndarray:
    """Co-occurrences ``[words CONTEXTS]`` of the texts; ids 0 and 1, padding and unknown, are no words."""
    contexts = min(words, CONTEXTS)
    found = np.zeros(words * contexts, np.int64)
    text = np.concatenate([np.pad(each, (0, WINDOW)) for each in ids])  # padding between texts
    for distance in range(1, WINDOW + 1):
        for a, b in ((text[:-distance], text[distance:]), (text[distance:], text[:-distance])):
            known = (a > 1) & (b > 1) & (b < contexts)
            found += np.bincount(a[known].astype(np.int64) * contexts + b[known], minlength=len(found))
    return found.reshape(words, contexts)


def embed(together: np.ndarray, dim: int) -> np.ndarray:
    """Vectors ``[words dim]`` of a table of co-occurrences."""
    together = together.astype(np.float64)
    of_word, of_context = together.sum(1, keepdims=True), together.sum(0, keepdims=True) ** 0.75
    expected = of_word * of_context / of_context.sum()
    ratio = np.divide(together, expected, out=np.ones_like(together), where=expected > 0)
    information = np.log(np.maximum(ratio, 1.0))
    values, basis = np.linalg.eigh(information.T @ information)
    found = information @ basis[:, -dim:] / np.maximum(values[-dim:], 1e-9) ** 0.25  # U √S, since M V = U S
    return found[:, ::-1] / found.std()


def write(path: Path, source: str, *, dim: int, words: int) -> None:
    """Learns vectors from the training texts of a source and writes them."""
    texts = specs.build("source", source).load(0).splits["train"].texts
    tokenizer = specs.build("tokenizer", f"words(max_size={words})")
    state = tokenizer.train(texts)
    vocabulary = tokenizer.vocabulary(state)
    vectors = embed(counts(tokenizer.encode(state, texts), len(vocabulary)), dim)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for word, vector in list(zip(vocabulary, vectors))[2:]:
            file.write(f"{word} {' '.join(f'{value:.4f}' for value in vector)}\n")
    print(f"wrote {len(vocabulary) - 2} vectors of {dim} from {len(texts)} texts to {path}")


def main(arguments: list[str] | None = None) -> None:
    """Parses the arguments and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="ag_news", help="spec of the texts; see python train.py --list=source")
    parser.add_argument("--out", type=Path, default=Path("runs/tutorials/vectors.txt"))
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--words", type=int, default=10_000)
    options = parser.parse_args(arguments)
    write(options.out, options.source, dim=options.dim, words=options.words)


if __name__ == "__main__":
    sys.exit(command_line.run_main(lambda argv: main(argv[1:])))

"""Trains the tutorials' models and their rivals, and writes the table of docs/tutorials.md.

python -m studies.tutorials [--workdir=runs/tutorials] [--data=FOLDER] [--only=softmax_pooling,...]

A run per row of ``ROWS``, five seeds in one program. ``--data`` names the folder with local copies of the data sets
(``$ATTENTION_DATA_DIR``); without it they are downloaded. Finished runs are kept, so the same command goes on where it was cut
off. With all runs finished it writes ``docs/tutorials.md`` and ``studies/tutorials.json``.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array

from attention import specs
from attention.files import read_json, write_json
from attention.training import backend, command_line, config, config_files, loop
from studies import vectors
from tools.markdown import table

ROOT = Path(__file__).parent.parent
PAGE, NUMBERS = ROOT / "docs" / "tutorials.md", Path(__file__).with_suffix(".json")
VECTORS = "runs/tutorials/vectors.txt"
BARE = {"encoder": "bare"}
SLOWER = {"training.learning_rate": 0.005}  # what the gates take is too fast for attention


class Row(NamedTuple):
    """A model of the page: its name there, its config, and what its flags set: fields of ``config.model``, or with a dot."""

    name: str
    config: str
    changes: Mapping[str, Any] = {}

    def command(self) -> str:
        """The command that trains it, as a user writes it."""
        flags = [f"--config=configs/tutorials/{self.config}.py"]
        for field, value in self.changes.items():
            quoted = f"'{value}'" if re.search(r"[( ]", str(value)) else value
            flags.append(f"--config.{'' if '.' in field else 'model.'}{field}={quoted}")
        return " ".join(("python train.py", *flags))

    def folder(self, workdir: Path) -> Path:
        """The run directory."""
        return workdir / re.sub(r"\W+", "-", self.name)


ROWS = (
    Row("softmax_pooling", "softmax_pooling"),
    Row(
        "softmax_pooling, QKV",
        "softmax_pooling",
        {**BARE, "mixer": "attention(heads=1, projections=qkv)", "pooling": "sum"},
    ),
    Row("sine_positions, half a period", "sine_positions"),
    Row("sine_positions, period d/2", "sine_positions", {"encoding": "sin_period_d"}),
    Row("sine_positions, frozen vectors", "sine_positions", {"vectors": VECTORS, "frozen_embeddings": True}),
    Row("score_softmax_sum, with itself", "score_softmax_sum"),
    Row(
        "score_softmax_sum, misprint",
        "score_softmax_sum",
        {"pooling": "query(q=self, scaled=False, normalizer=sum_norm)"},
    ),
    Row("score_softmax_sum, with the last", "score_softmax_sum", {"pooling": "query(q=last, scaled=False)"}),
    Row(
        "score_softmax_sum, with each other",
        "score_softmax_sum",
        {**BARE, "mixer": "attention(heads=1, projections=none)", "score": "dot", "pooling": "mean"},
    ),
    Row("bilstm_attention", "bilstm_attention"),
    Row("bilstm_attention, mean in its place", "bilstm_attention", {"pooling": "mean"}),
    Row("additive_gate", "additive_gate"),
    Row("additive_gate, no softmax", "additive_gate", {"head_softmax": False}),
    Row("additive_gate, self-attention", "additive_gate", {**BARE, "mixer": "attention(heads=1)", **SLOWER}),
    Row("additive_gate, multi-head", "additive_gate", {**BARE, "mixer": "attention(heads=4)", **SLOWER}),
    Row("additive_gate, masked", "additive_gate", {**BARE, "mixer": "attention(heads=4)", "mask": "causal", **SLOWER}),
    Row("multiplicative_gate", "multiplicative_gate"),
    Row("multiplicative_gate, no softmax", "multiplicative_gate", {"head_softmax": False}),
    Row("transformer", "transformer"),
)


def source(name: str, data: str | None) -> str:
    """The spec of a data set, of a local copy where there is one."""
    return name if data is None else f"{name}(path='{data}/{name}')"


def fields(row: Row, *, data: str | None = None, workdir: Path | None = None) -> dict[str, Any]:
    """The config of a row."""
    whole: Any = config_files.base_config(ROOT / "configs" / "tutorials" / f"{row.config}.py")
    whole.data.source = source(whole.data.source, data)
    for field, value in row.changes.items():
        section, _, name = field.rpartition(".")
        whole[section or "model"][name] = value
    if workdir is not None and whole.model.vectors:
        whole.model.vectors = str(workdir / "vectors.txt")
    return whole.to_dict()


def run(workdir: Path, rows: tuple[Row, ...], data: str | None) -> None:
    """Trains what is not finished yet."""
    for row in rows:
        if (row.folder(workdir) / "result.json").exists():
            continue
        if "vectors" in row.changes and not (workdir / "vectors.txt").exists():
            texts = source("ag_news", data) if data is None else f"ag_news(path='{data}/ag_news_subset')"
            vectors.write(workdir / "vectors.txt", texts, dim=64, words=10_000)
        print(f"\n==== {row.name}", flush=True)
        loop.train(config.from_dict(fields(row, data=data, workdir=workdir)), row.folder(workdir))
        jax.clear_caches()


def rival(texts: str, tokenizer: str) -> dict[str, float]:
    """Accuracy and parameters of TF-IDF with logistic regression: C of five is the best on validation.

    ``tf (log((1 + n) / (1 + df)) + 1)``, rows of length 1; ``Σ loss + |W|² / 2C``, the biases unpenalised.
    """
    splits: Any = specs.build("source", texts).load(0).splits
    made = specs.build("tokenizer", tokenizer)
    state = made.train(splits["train"].texts)
    counted: dict[str, Any] = {
        name: _counts(made.encode(state, splits[name].texts), made.size(state)) for name in ("train", "validation", "test")
    }
    n = counted["train"].shape[0]
    inverse = np.log((1 + n) / (1 + counted["train"].astype(bool).sum(0))) + 1
    features = {name: _unit(rows.multiply(inverse)) for name, rows in counted.items()}
    labels = {name: np.asarray(splits[name].labels) for name in features}
    accuracy = lambda W, name: float(np.mean((features[name] @ W[:-1] + W[-1]).argmax(1) == labels[name]))
    solved = [_regression(features["train"], labels["train"], C) for C in (0.3, 1.0, 3.0, 10.0, 30.0)]
    best = max(solved, key=lambda W: accuracy(W, "validation"))
    return {"accuracy": accuracy(best, "test"), "parameters": best.size}


def _counts(texts: list[np.ndarray], size: int) -> Any:
    """How often each id occurs in each text, ``[n size]``."""
    rows = np.repeat(np.arange(len(texts)), [len(ids) for ids in texts])
    return csr_array((np.ones(len(rows)), (rows, np.concatenate(texts))), shape=(len(texts), size))


def _unit(rows: Any) -> Any:
    """Rows divided by their length."""
    length = np.sqrt(rows.multiply(rows).sum(1))
    return csr_array(rows.multiply(1 / np.maximum(length, 1e-12)[:, None]))


def _regression(x: Any, labels: np.ndarray, C: float) -> np.ndarray:
    """Weights ``[F + 1 classes]`` of the multinomial logistic regression, biases last."""
    wanted = np.eye(labels.max() + 1)[labels]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        W = flat.reshape(-1, wanted.shape[1])
        logits = x @ W[:-1] + W[-1]
        logits -= logits.max(1, keepdims=True)
        total = np.log(np.exp(logits).sum(1, keepdims=True))
        error = np.exp(logits - total) - wanted
        penalty = np.concatenate([W[:-1] / C, np.zeros_like(W[-1:])])
        value = ((total - logits) * wanted).sum() + (W[:-1] ** 2).sum() / (2 * C)
        return float(value), (np.concatenate([x.T @ error, error.sum(0, keepdims=True)]) + penalty).ravel()

    start = np.zeros((x.shape[1] + 1) * wanted.shape[1])
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x.reshape(-1, wanted.shape[1])


def collect(workdir: Path, data: str | None) -> dict[str, Any]:
    """What the page needs of all results."""
    rows: dict[str, Any] = {}
    device, seeds = "", 0
    for row in ROWS:
        result = read_json(row.folder(workdir) / "result.json")
        device, seeds = result["device"], len(result["members"])
        rows[row.name] = {
            "command": row.command(),
            "test": [member["test"]["accuracy"] for member in result["members"]],
            "validation": [member["validation"]["accuracy"] for member in result["members"]],
            "mean": result["summary"]["accuracy"]["mean"],
            "ci95": result["summary"]["accuracy"]["ci95"],
            "parameters": result["parameters"],
            "seconds": round(result["train_seconds"] / seeds, 1),
        }
    rivals = {"TF-IDF and logistic regression": rival(source("trec6", data), "words(max_size=1000)")}
    return {"device": device, "jax": jax.__version__, "seeds": seeds, "rows": rows, "rivals": rivals}


def page(text: str, found: Mapping[str, Any]) -> str:
    """The page with the table between its markers made anew."""
    start, end = "<!-- table scores -->\n", "<!-- end -->"
    before, rest = text.split(start)
    return f"{before}{start}{scores(found)}\n{end}{rest.split(end, 1)[1]}"


def scores(found: Mapping[str, Any]) -> str:
    """A row per model: accuracy in percent with its interval, parameters, seconds a seed."""
    rows = [
        (name, f"{100 * row['mean']:.1f} ± {100 * row['ci95']:.1f}", f"{row['parameters']:,}", f"{row['seconds']:.0f}")
        for name, row in found["rows"].items()
    ]
    rows += [(name, f"{100 * row['accuracy']:.1f}", f"{row['parameters']:,}", "") for name, row in found["rivals"].items()]
    return table(("model", "test accuracy", "parameters", "seconds a seed"), rows)


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing, and with nothing missing writes the page's table and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, default=Path("runs/tutorials"))
    parser.add_argument("--data", help="folder with a local copy of each data set")
    parser.add_argument("--only", default="", help="configs to train, with commas between them")
    options = parser.parse_args(arguments)
    only = {name for name in options.only.split(",") if name}
    if unknown := only - {row.config for row in ROWS}:
        parser.error(f"no config {', '.join(sorted(unknown))}; configs: {', '.join(dict.fromkeys(r.config for r in ROWS))}")
    backend.prepare()
    try:
        run(options.workdir, tuple(row for row in ROWS if not only or row.config in only), options.data)
    except ValueError as error:
        here = "" if options.data else " (of this study: --data=FOLDER, which has folders trec6 and ag_news_subset)"
        raise ValueError(f"{error}{here}") from None
    missing = [row.name for row in ROWS if not (row.folder(options.workdir) / "result.json").exists()]
    if missing:
        print(f"{len(missing)} runs to go: {', '.join(missing)}; no page yet")
        return
    found = collect(options.workdir, options.data)
    write_json(NUMBERS.resolve(), found)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    print(f"wrote {PAGE.name} and {NUMBERS.name}")


if __name__ == "__main__":
    sys.exit(command_line.run_main(lambda argv: main(argv[1:])))

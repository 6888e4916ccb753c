"""The setting of nanoGPT's run on a CPU, trained by ``train.py`` and by a twin in eager PyTorch: loss on test, and time.

python -m benchmarks.nanogpt --text=input.txt [--seeds=3] [--steps=2000] [--json=nanogpt.json]

4 layers, 4 heads, D = 128, windows of 64 characters, batches of 12; no bias, tied embeddings, learned positions; all weights
N(0, 0.02), what projects into the residual stream 1/√(2L) of that; AdamW with b2 = 0.99 and a decay of 0.1 of all matrices,
gradients clipped to a norm of 1, the rate 1e-3 after 100 updates and then a cosine to 1e-4. Test is the last tenth of the text;
every character of it is scored once, in windows side by side. Train and test are the same arrays for both. Seeds are trained in
turn, one of each, and a ratio of times is of neighbours; what ours takes to compile is not in it. Wants torch.

Settings: github.com/karpathy/nanoGPT, README, "I only have a macbook".
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from attention.files import write_json
from attention.metrics import summarize
from attention.runs.environment import environment
from attention.training import config, loop, recipe
from attention.training.process import keep_freed_memory
from benchmarks._nanogpt_setting import LAST, PEAK, WARMUP, B, D, L, N, T

TARGET = 1.1  # of the twin's time


def main(argv: Sequence[str] | None = None) -> None:
    """Trains both, one seed after the other, and prints what they come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True, help="a file of plain text, such as tinyshakespeare's input.txt")
    parser.add_argument("--seeds", type=int, default=3, help="how many are trained of each, 2 or more")
    parser.add_argument("--steps", type=int, default=2000, help="updates of each")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    options = parser.parse_args(argv)
    if options.seeds < 2 or options.steps <= WARMUP:
        parser.error(f"--seeds must be at least 2 and --steps above {WARMUP}, got {options.seeds} and {options.steps}")
    import torch  # which the rest of the project does without

    from benchmarks._nanogpt_twin import twin

    keep_freed_memory()
    where = environment()
    print(f"{where['device']}, {where['cores']} cores, jax {where['jax']}, torch {torch.__version__}", flush=True)
    data = recipe.load_data(settings(options.text, options.steps, 0))
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "torch": []}
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            result = loop.train(settings(options.text, options.steps, seed), Path(folder) / "run")
        found["ours"].append((result["members"][0]["test"]["nll"], result["step_seconds"]))
        found["torch"].append(twin(data, options.steps, seed))
        print(f"seed {seed}: " + ", ".join(f"{name} {runs[-1][0]:.4f} in {runs[-1][1]:.0f} s" for name, runs in found.items()))
    summary = {name: summarize([nll for nll, _ in runs]) for name, runs in found.items()}
    ratios = [ours / theirs for (_, ours), (_, theirs) in zip(found["ours"], found["torch"], strict=True)]
    difference = welch(*([nll for nll, _ in runs] for runs in found.values()))
    print("\n".join(f"{name:>6}  nll {each['mean']:.4f} ± {each['ci95']:.4f}" for name, each in summary.items()))
    print(f"ours - torch: {difference[0]:+.4f} ± {difference[1]:.4f} (Welch, 95 %)")
    print(f"time of an update, ours / torch: {statistics.median(ratios):.2f} (target {TARGET}; load {os.getloadavg()[0]:.1f})")
    if options.json is not None:
        write_json(options.json, {"environment": where, "steps": options.steps, "runs": found, "ratios": ratios})


def settings(text: str, steps: int, seed: int) -> config.Config:
    """The config of one run."""
    training = {"steps": steps, "batch_size": B, "optimizer": "adamw(b2=0.99)", "learning_rate": PEAK, "warmup": WARMUP}
    training |= {"schedule_end": LAST / PEAK, "weight_decay": 0.1, "dropout": 0.0, "eval_every": steps}
    model = {"encoder": f"transformer(layers={L}, bias=False, init='gpt2')", "mixer": f"attention(heads={N}, bias=False)"}
    model |= {"encoding": "learned", "mask": "causal", "dim": D, "tied": True, "embedding_scale": False, "embedding_init": 0.02}
    data = {"source": f"text(path={os.path.abspath(text)!r})", "tokenizer": "characters", "max_length": T, "buckets": 1}
    fields = {"task": "lm", "rival": "none", "seeds": (seed,), "data": data, "model": model, "training": training}
    return config.from_dict(fields)


def welch(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Difference of means and half of its 95 % interval."""
    found: Any = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return statistics.mean(ours) - statistics.mean(theirs), (found.high - found.low) / 2


if __name__ == "__main__":
    main()

"""Runs the study of encodings beyond the training length, and writes its page, its numbers and its plot.

python -m studies.length_generalisation [--workdir=runs/length_generalisation] [--tasks=order,distance]

A run per task and variant of ``configs/studies/length_generalisation.py``, its seeds in one program. Finished runs are kept, so
the same command goes on where it was cut off, and several may share the work with different tasks. With all runs
finished it writes ``docs/studies/length_generalisation.{md,svg}`` and its numbers beside this file.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from attention.files import read_json, write_json
from attention.training import backend, command_line, config, loop
from configs.studies import length_generalisation as study
from tools.plots import legible, plt

PAGE = Path(__file__).parents[1] / "docs" / "studies" / "length_generalisation.md"
FIGURE, NUMBERS = PAGE.with_suffix(".svg"), Path(__file__).with_suffix(".json")
SHOWN = ("1-20", "21-40", "41-60", "61-80", "81-100", "121-140", "181-200")  # of ten ranges; the numbers have all


def run(workdir: Path, tasks: list[str]) -> None:
    """Trains what is not finished yet."""
    for task in tasks:
        for name in study.VARIANTS:
            if _finished(workdir, task, name):
                continue
            print(f"\n==== {task}, {name}", flush=True)
            loop.train(config.from_dict(fields(task, name)), _folder(workdir, task, name))
            jax.clear_caches()


def fields(task: str, name: str) -> dict[str, Any]:
    """The config of a variant on a task."""
    whole = study.get_config()
    whole.data.source = task
    whole.model.update(study.VARIANTS[name])
    return whole.to_dict()


def _folder(workdir: Path, task: str, name: str) -> Path:
    return workdir / task / re.sub(r"\W+", "-", name)


def _finished(workdir: Path, task: str, name: str) -> bool:
    return (_folder(workdir, task, name) / "result.json").exists()


def collect(workdir: Path) -> dict[str, Any]:
    """What the page needs of all results."""
    tasks: dict[str, Any] = {}
    device, baselines = "", {}
    for task in study.TASKS:
        variants = {}
        for name in study.VARIANTS:
            result = read_json(_folder(workdir, task, name) / "result.json")
            device = result["device"]
            variants[name] = {
                "model": study.VARIANTS[name],
                "parameters": result["parameters"],
                "ranges": [{name: _short(value) for name, value in row.items()} for row in result["by_length"]["ranges"]],
            }
            baselines = result["baselines"]
        tasks[task] = {"baselines": baselines, "variants": variants}
    config = study.get_config()
    return {
        "device": device,
        "jax": jax.__version__,
        "seeds": len(config.seeds),
        "updates": config.training.steps,
        "tasks": tasks,
    }


def _short(value: Any) -> Any:
    """Shares to five decimals."""
    if isinstance(value, list):
        return [_short(each) for each in value]
    return round(value, 5) if isinstance(value, float) else value


def page(text: str, found: dict[str, Any]) -> str:
    """The page with the tables between its markers made anew."""
    for task in found["tasks"]:
        start, end = f"<!-- table {task} -->\n", "<!-- end -->"
        before, rest = text.split(start)
        text = f"{before}{start}{table(found, task)}\n{end}{rest.split(end, 1)[1]}"
    return text


def table(found: dict[str, Any], task: str) -> str:
    """Accuracy in percent with its interval: a row per variant, a column per range of ``SHOWN``."""
    variants = found["tasks"][task]["variants"]
    heads = [f"{row['above'] + 1}-{row['up_to']}" for row in next(iter(variants.values()))["ranges"]]
    shown = [heads.index(head) for head in SHOWN]
    lines = [["", *SHOWN], ["---"] * (len(SHOWN) + 1)]
    lines += [[f"{name}", *(_cell(row["ranges"][at]) for at in shown)] for name, row in variants.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: dict[str, Any]) -> str:
    return "undefined" if row["undefined"] else f"{100 * row['mean']:.1f} ± {100 * row['ci95']:.1f}"


def figure(found: dict[str, Any]) -> Any:
    """A map per task: variants by lengths, the mean accuracy of each in colour and as a number."""
    tasks = found["tasks"]
    drawn, panels = plt.subplots(1, len(tasks), figsize=(1.2 + 3.6 * len(tasks), 4.6), sharey=True, squeeze=False)
    for axes, (task, content) in zip(panels[0], tasks.items()):
        rows = [variant["ranges"] for variant in content["variants"].values()]
        means = np.array([[np.nan if row["mean"] is None else 100 * row["mean"] for row in ranges] for ranges in rows])
        colours = axes.imshow(means, cmap="viridis", vmin=0, vmax=100, aspect="auto").to_rgba
        for (y, x), mean in np.ndenumerate(means):
            known = np.isfinite(mean)
            colour = legible(colours(mean)) if known else "black"
            axes.text(x, y, f"{mean:.0f}" if known else "-", ha="center", va="center", fontsize=7.5, color=colour)
        axes.axvline(1.5, color="white", linewidth=2)
        axes.set_title(task)
        axes.set_xticks(range(means.shape[1]), [str(row["up_to"]) for row in rows[0]], fontsize=7)
        axes.set_yticks(range(len(rows)), list(content["variants"]), fontsize=8)
        axes.set_xlabel("length up to")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    return drawn


def draw(found: dict[str, Any]) -> None:
    """Writes the figure, the same bytes for the same numbers."""
    with plt.rc_context({"svg.hashsalt": "studies", "svg.fonttype": "none", "figure.constrained_layout.use": True}):
        drawn = figure(found)
        drawn.savefig(FIGURE, metadata={"Date": None, "Creator": None})
        plt.close(drawn)


def main(arguments: list[str] | None = None) -> None:
    """Runs what is missing, and with nothing missing writes page, numbers and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, default=Path("runs/length_generalisation"))
    parser.add_argument("--tasks", default=",".join(study.TASKS), help="of the study, with commas between them")
    options = parser.parse_args(arguments)
    tasks = options.tasks.split(",")
    if unknown := set(tasks) - set(study.TASKS):
        parser.error(f"no task {', '.join(sorted(unknown))}; tasks: {', '.join(study.TASKS)}")
    backend.prepare()
    run(options.workdir, tasks)
    missing = [(task, name) for task in study.TASKS for name in study.VARIANTS if not _finished(options.workdir, task, name)]
    if missing:
        print(f"{len(missing)} runs to go, of {', '.join(sorted({task for task, _ in missing}))}: no page yet")
        return
    found = collect(options.workdir)
    write_json(NUMBERS.resolve(), found)
    draw(found)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    print(f"wrote {PAGE}, {NUMBERS} and {FIGURE.name}")


if __name__ == "__main__":
    sys.exit(command_line.run_main(lambda argv: main(argv[1:])))

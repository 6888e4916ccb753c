"""Results of sweeps that nobody ran, as ``collect`` makes them: for tests of what is computed and written of them."""

import json

import numpy as np

from attention.lab.results import SCHEMA, Results
from attention.training import config as configs

METRICS = {
    "classification": (["accuracy", "macro_f1", "nll", "ece"], ["accuracy", "macro_f1"]),
    "lm": (
        ["nll", "accuracy", "exact_match", "bits_per_byte", "perplexity", "longer_context"],
        ["accuracy", "exact_match"],
    ),
    "seq2seq": (["exact_match", "token_accuracy", "nll"], ["exact_match", "token_accuracy"]),
}
ENVIRONMENT = {
    "processor": "Some CPU @ 2.00GHz",
    "cores": 2,
    "python": "3.11.7",
    "jax": "0.10.2",
    "git_commit": "0123abc",
    "git_dirty": False,
    "kernel": "dense",
}
DATA = {
    "classes": ["no", "yes"],
    "splits": {
        "train": {"examples": 2000, "mean_length": 20.5, "max_length": 40, "class_counts": [1500, 500]},
        "test": {"examples": 300, "mean_length": 20.1, "max_length": 39, "class_counts": [150, 150]},
    },
}
UPDATES, EVERY, TESTED = 400, 50, 300


def made(variants, *, seeds=5, baseline=None, metric=None, task="classification", by_length=False, search=None, dropped=()):
    """Results of ``variants``, tuples of names on the axes; each is better than the one before by half a point.

    Members of one seed share luck, so that pairs differ less than members.
    """
    random = np.random.default_rng(0)
    metrics, shares = METRICS[task]
    metric = metric or metrics[0]
    variants = [(names,) if isinstance(names, str) else tuple(names) for names in variants]
    luck = random.normal(0, 0.01, seeds)
    found = []
    for place, names in enumerate(variants):
        for trial in range(0 if search is None else search["trials"]):
            found.append(_row(random, names, place, 1_000_000, 0.0, task, metric, search=search, trial=trial))
        for seed in range(seeds):
            found.append(_row(random, names, place, seed, luck[seed], task, metric, search=search, by_length=by_length))
    names = [", ".join(each) for each in variants]
    sweep = {"name": "made", "baseline": baseline or names[0], "metric": metric, "metrics": metrics, "shares": shares}
    lower = ("nll", "ece", "bits_per_byte", "perplexity", "longer_context")
    sweep |= {"higher_is_better": metric not in lower, "variants": names, "axes": len(variants[0])}
    sweep |= {"seeds": list(range(seeds)), "search": search, "dropped": [list(each) for each in dropped]}
    sweep |= {"split": "test", "notes": [], "margin": None, "title": "", "data_name": ""}
    return Results(found, {**sweep, "command": "python sweep.py --config=configs/sweeps/made.py"})


def searched(trials=4, halvings=0):
    """A search of two fields."""
    ranges = {"training.learning_rate": "log(0.0001, 0.01)", "training.dropout": "uniform(0, 0.5)"}
    return {"ranges": ranges, "trials": trials, "halvings": halvings, "seed": 1_000_000}


def failed(row, reason="loss or gradient not finite at update 7"):
    """The row of the same member, had it failed."""
    nothing = ("validation", "test", "best_step", "correct", "test_count", "by_length")
    return {**row, **dict.fromkeys(nothing), "status": "failed", "reason": reason}


def pending(row):
    """The row of the same member, had it not been trained."""
    kept = ("variant", "names", "fields", "seed", "phase", "drawn", "key", "config", "flops_per_example")
    return dict.fromkeys(SCHEMA.names) | {name: row[name] for name in kept} | {"status": "pending"}


def _row(random, names, place, seed, luck, task, metric, *, search=None, trial=None, by_length=False):
    values = [{"training.learning_rate": 1e-4 * 4**k, "training.dropout": 0.1 * k} for k in range(4)]
    drawn = {} if search is None else values[(place if trial is None else trial) % 4]
    fields = {f"model.{field}": name for field, name in zip(("encoding", "normalizer"), names)}
    correct = random.random(TESTED) < 0.8 + 0.005 * place + luck
    scores = _scores(random, float(correct.mean()), task)
    validations = [
        (step, 0.8 * (1 - np.exp(-step / 100)) + 0.01 * random.normal()) for step in range(EVERY, UPDATES + 1, EVERY)
    ]
    losses = [(step, float(2 * np.exp(-step / 150) + 0.02 * random.normal())) for step in range(10, UPDATES + 1, 10)]
    # no variant is built, so that any name will do
    config = configs.to_dict(configs.Config(task=task, seeds=(seed,)))
    del config["trackers"]  # as rows of a sweep have it
    config["model"] |= {field.removeprefix("model."): value for field, value in fields.items()}
    config["training"] |= {"steps": UPDATES, **{field.removeprefix("training."): value for field, value in drawn.items()}}
    folder = f"v{place}-{'search' if trial is not None else f'seed{seed}'}-{place:06d}{trial or 0:06d}"
    curve = lambda points: [{"step": step, "value": float(value)} for step, value in points]
    return {
        "variant": ", ".join(names),
        "names": list(names),
        "fields": json.dumps(fields),
        "seed": seed,
        "phase": "final" if trial is None else "search",
        "drawn": json.dumps(drawn),
        "status": "finished",
        "reason": None,
        "key": f"{place:032d}{seed:032d}",
        "run": f"points/{folder}",
        "config": json.dumps(config),
        "split": "test" if trial is None else "validation",
        "validation": scores,
        "test": scores if trial is None else None,
        "best_step": UPDATES - EVERY,
        "updates": UPDATES,
        "examples": UPDATES * 64,
        "parameters": 100_000 + 1_000 * place,
        "flops_per_example": 2e6 * (1 + 0.1 * place),
        "kernel": "dense",
        "baselines": {"majority": 0.2},
        "rival": None,
        "rival_scores": None,
        "rival_correct": None,
        "losses": curve(losses),
        "validations": {metric: curve(validations)},
        "by_length": json.dumps(_lengths(random, place)) if by_length else None,
        "correct": None if task == "lm" else np.packbits(correct).tobytes(),
        "test_count": None if task == "lm" else TESTED,
        "clean": None,
        "clean_count": None,
        "clean_of": None,
        "test_hash": "ab" * 32,
        "split_hash": "ab" * 32,
        "device": "cpu (2 cores)",
        "environment": json.dumps(ENVIRONMENT),
        "data": json.dumps(DATA),
        "cohort_members": 5,
        "measured_started": f"2026-11-29T2{seed % 3}:15:04Z",
        "measured_ended": f"2026-11-29T2{seed % 3}:15:40Z",
        "measured_seconds": 20.0 + place + random.random(),
        "measured_update_seconds": 0.01 * (1 + 0.2 * place) + 0.001 * random.random(),
        "measured_process_seconds": 0.018 * (1 + 0.2 * place),
        "measured_load": 1.5,
        "measured_cores": 2,
        "measured_compile_seconds": 2.0,
        "measured_state_bytes": 1_500_000,
        "measured_work_bytes": 30_000_000,
    }


def _scores(random, right, task):
    if task == "seq2seq":
        return {"exact_match": right, "token_accuracy": 0.5 + right / 2, "nll": 1.2 - right, "count": float(TESTED)}
    if task == "lm":  # of documents, by tokens that give the text back
        nll = 1.9 - right / 2
        own = {"nll": nll, "accuracy": right / 2, "exact_match": None, "bits_per_byte": nll / 0.7, "perplexity": np.exp(nll)}
        return {**own, "longer_context": 0.1 - right / 10, "count": float(TESTED)}
    others = {"macro_f1": right - 0.01, "nll": 1.4 - right + 0.01 * random.random(), "ece": 0.05 * random.random()}
    return {"accuracy": right, **others, "count": float(TESTED)}


def _lengths(random, place):
    """Trained up to 20; the second variant has positions up to 30 only."""
    ranges = []
    for above in range(0, 60, 10):
        accuracy = float(np.clip(1 - max(0, above - 10 - 5 * place) / 60 + 0.02 * random.normal(), 0, 1))
        undefined = place == 1 and above >= 30
        row = {"above": above, "up_to": above + 10, "count": 100, "undefined": undefined}
        shown = None if undefined else accuracy
        ranges.append({**row, "accuracy": [shown], "mean": shown, "std": None, "ci95": None})
    return {"trained_length": 20, "ranges": ranges}

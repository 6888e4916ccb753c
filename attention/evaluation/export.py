"""What leaves of a run: the weights of a member in one file, or a program that answers in a process without this package.

``FILE.safetensors`` is weights, config and tokenizer in one, and ``train.py --init_from`` takes it back. ``FILE.stablehlo`` is
a program of ``jax.export`` for CPU, CUDA and TPU with its weights inside; beside it stand ``FILE.stablehlo.json``, which says
what goes in and comes out, and ``FILE.stablehlo.tokenizer.json``, which the ``tokenizers`` package reads.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention import specs, tensors
from attention.data.contracts import PADDING, UNKNOWN
from attention.data.tokenizer_text import pack
from attention.evaluation import program
from attention.evaluation.trained import Trained, load
from attention.files import write_atomic
from attention.messages import listed, quoted, shown
from attention.runs import int8, json_files, weights_file
from attention.tasks import Metric
from attention.training import config, recipe
from attention.training.cohort.predict import of_members

QUANTIZE = ("none", "int8")
_DIRECTIONS = {"head": "right", "tail": "left"}  # what the package calls the side that it drops


class Member(NamedTuple):
    """A member of a run: which, its scores on validation, and its weights in nested dicts."""

    number: int
    seed: int
    validation: dict[str, float]
    weights: dict[str, Any]


def export(workdir: str, path: str, *, seed: int | None = None, quantize: str = "none") -> str:
    """Writes a member of a run to a file, which is replaced where it is there.

    Args:
      workdir: the run directory.
      path: of the file, ``.safetensors`` or ``.stablehlo``.
      seed: of the member; of several the best on validation, as of all where None.
      quantize: "none", or "int8" for weights of two axes or more, with a scale for each channel.

    Returns:
      What to print.

    Raises:
      ValueError: for anything that cannot be served, in one line.
    """
    target, make = _checked(path, quantize)
    trained = load(workdir)
    member = chosen(trained, seed)
    lines = [
        *(f"note: {note}" for note in trained.notes),
        _headline(trained, member, seed),
        *make(trained, member, target, quantize),
    ]
    return "\n".join([*lines, *(_cost(trained, member) if quantize != "none" else [])])


def check_flags(path: str | None, seed: int | None, quantize: str, others: Sequence[str]) -> None:
    """Raises ValueError for flags that do not go together."""
    if path is None and (seed is not None or quantize != "none"):
        raise ValueError("--member and --quantize are of an export: they go with --export=FILE")
    if path is not None and others:
        raise ValueError(f"--export writes the model and scores nothing: it goes without --{others[0]}")


def chosen(trained: Trained, seed: int | None) -> Member:
    """The member with a seed, or the best; of equals the first. Raises ValueError where there is none."""
    seeds, scores = trained.settings.seeds, _validations(trained)
    if seed is not None and seed not in seeds:
        known = listed(map(str, seeds))
        raise ValueError(f"--member={seed}: {shown(trained.run.path)} has no member with that seed; seeds: {known}")
    asked = [number for number in range(len(seeds)) if seed is None or seeds[number] == seed]
    known = [(number, found) for number in asked if (found := scores[number]) is not None]
    if not known:
        raise ValueError(f"--member={seed}: this member of {shown(trained.run.path)} has not been validated")
    number, validation = max(known, key=lambda pair: trained.task.quality(pair[1]))
    weights = jax.tree.map(lambda leaf: np.asarray(leaf[number]), trained.params)
    return Member(number, seeds[number], validation, weights)


def _validations(trained: Trained) -> list[dict[str, float] | None]:
    """The scores of each member at its best validation, None before its first."""
    lines = {line.get("step"): line for line in trained.run.read_metrics().lines if line.get("split") == "validation"}
    names, found = [metric.name for metric in trained.task.metrics], []
    for number, step in enumerate(trained.meta["steps"]):
        try:
            known = {} if step is None else {name: lines[step][name][number] for name in names}
            scores = {name: math.nan if value is None else float(value) for name, value in known.items()}
        except (LookupError, TypeError, ValueError):
            raise ValueError(f"{trained.run.metrics} says nothing of the validation after update {step}") from None
        found.append(scores or None)
    return found


def _checked(path: str, quantize: str) -> tuple[Path, Callable[..., list[str]]]:
    """The file to write and what writes it. Raises ValueError before anything is read."""
    if quantize not in QUANTIZE:
        near = specs.nearest(quantize, QUANTIZE)
        raise ValueError(f"--quantize wants one of {', '.join(QUANTIZE)}, got {quoted(quantize)}{near}")
    target = Path(path)
    make = _FORMATS.get(target.suffix.lower())
    if make is None or not target.stem:
        near = specs.nearest(target.suffix, _FORMATS)
        raise ValueError(f"--export={shown(path)} wants a name that ends with {' or '.join(_FORMATS)}{near}")
    if not target.parent.is_dir():
        raise ValueError(f"--export={shown(path)}: there is no folder {shown(target.parent)}")
    if target.is_dir():
        raise ValueError(f"--export={shown(path)} is a folder; give the name of a file")
    return target, make


def _headline(trained: Trained, member: Member, seed: int | None) -> str:
    first, count = trained.task.metrics[0], len(trained.settings.seeds)
    best = f", the best of {count}" if count > 1 and seed is None else ""
    return (
        f"{shown(trained.run.path)}: seed {member.seed}{best}, {first.name} {_number(first, member.validation)} on validation"
    )


def _number(metric: Metric, scores: Mapping[str, float]) -> str:
    value = scores[metric.name]
    return f"{100 * value:.2f} %" if metric.share else f"{value:.4f}"


# ---- weights


def _weights(trained: Trained, member: Member, target: Path, quantize: str) -> list[str]:
    tokenizer = json.loads(pack(trained.tokenizer, trained.tokenizer_state))
    data = trained.data
    facts = config.to_dict(trained.settings), data.classes, tokenizer, member.seed, data.vocab_size, data.bucket_lengths
    size = weights_file.write(target, weights_file.Stored(*facts, member.weights), quantize=quantize != "none")
    what = f"{shown(target)}, {_size(size)}: weights, config, classes and tokenizer"
    return [what, f"train.py --init_from={shown(target)} starts from it"]


# ---- a program


def _program(trained: Trained, member: Member, target: Path, quantize: str) -> list[str]:
    values, scales = weights_file.leaves(member.weights), {}
    if quantize != "none":
        values, scales = int8.split(values)

    def weights() -> dict[str, Any]:
        return weights_file.nested(int8.joined({name: jnp.asarray(leaf) for name, leaf in values.items()}, scales))

    made = program.programs(trained, weights)
    found = program.difference(trained, made, weights_file.nested(int8.joined(values, scales)))
    about, tokenizer = (target.with_name(f"{target.name}{ending}") for ending in (".json", ".tokenizer.json"))
    for path in (about, tokenizer):  # so that a kill leaves none of another program
        path.unlink(missing_ok=True)
    written = program.write(target, made)
    beside = _write_tokenizer(trained, tokenizer)
    facts = _facts(trained, member, quantize, next(iter(made.values())))
    json_files.write(about, {**facts, "programs": written, **({} if beside else {"vocabulary": _vocabulary(trained)})})
    return [
        f"{shown(target)}, {_size(sum(each['size'] for each in written))}: {_said(facts, made)}",
        f"{shown(about)}: what goes in and comes out, and the classes",
        beside or f"{shown(about)} has the tokens of {trained.settings.data.tokenizer}, which no other package reads",
        f"largest difference from eval.py on random texts: {found:.1e}",
    ]


def _said(facts: Mapping[str, Any], made: Collection[int | None]) -> str:
    """What the programs take and give, and which there are."""
    ends = (", ".join(f"{each['name']} [{', '.join(each['shape'])}]" for each in facts[end]) for end in ("inputs", "outputs"))
    what = f"{' to '.join(ends)} on {', '.join(program.PLATFORMS)}"
    if None not in made:
        return f"{what}; a part wants to know t, so there is a file for each of {', '.join(map(str, made))}, named after it"
    return what if facts["longest"] is None else f"{what}, t of {facts['longest']} at most"


def _facts(trained: Trained, member: Member, quantize: str, exported: Any) -> dict[str, Any]:
    """What a caller of the program needs to know."""
    data, shape = trained.settings.data, lambda aval: [str(size) for size in aval.shape]
    described = lambda name, aval: {"name": name, "dtype": str(aval.dtype), "shape": shape(aval)}
    outputs = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    return {
        "task": trained.settings.task,
        "seed": member.seed,
        "validation": member.validation,
        "inputs": [described(*pair) for pair in zip(program.inputs(trained), exported.in_avals)],
        "outputs": [described(*pair) for pair in outputs.items()],
        "classes": trained.data.classes,
        "padding": PADDING,
        "unknown": UNKNOWN,
        "longest": trained.model.longest_text,
        "quantize": quantize,
        "tokenizer": data.tokenizer,
        **config.reading(trained.settings),
        "platforms": program.PLATFORMS,
        "jax": jax.__version__,
    }


def _write_tokenizer(trained: Trained, path: Path) -> str | None:
    """Writes the tokenizer as the ``tokenizers`` package reads it, and says so; None where there it has none like it.

    Where texts are not cut into segments, it cuts them to the tokens that are kept, and pads them as batches are padded.
    """
    packaged, data = trained.tokenizer.packaged, trained.settings.data
    if packaged is None:
        return None
    made = packaged(trained.tokenizer_state)
    whole = data.segments == "none" and data.truncate in _DIRECTIONS
    if whole:
        made.enable_truncation(data.max_length, direction=_DIRECTIONS[data.truncate])
        made.enable_padding(pad_id=PADDING, pad_token="<padding>", pad_to_multiple_of=8)
    write_atomic(path, made.to_str().encode())
    kept = f"{data.max_length} tokens (truncate={data.truncate}, segments={data.segments})"
    rest = "" if whole else f"; to keep {kept} and to pad is left to the caller"
    return f"{shown(path)}: Tokenizer.from_file of the package tokenizers reads it{rest}"


def _vocabulary(trained: Trained) -> list[str]:
    return list(trained.tokenizer.vocabulary(trained.tokenizer_state))


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


_FORMATS: dict[str, Callable[..., list[str]]] = {tensors.SUFFIX: _weights, ".stablehlo": _program}


# ---- int8


def _cost(trained: Trained, member: Member) -> list[str]:
    """What int8 weights cost in scores on the split that the run is summed up by."""
    values, scales = int8.split(weights_file.leaves(member.weights))
    both = member.weights, weights_file.nested(int8.joined(values, scales))
    two = trained._replace(params=jax.tree.map(lambda *leaves: jnp.stack(leaves), *both))
    try:
        loaded = trained.load_data()
    except ValueError as error:
        return [f"note: what int8 costs is not known: {error}"]
    split = recipe.scored_split(loaded, trained.task)
    examples = trained.examples(split, loaded)
    before, after = (trained.task.scores(each, examples.encoded) for each in of_members(two.outputs(examples)))
    pairs = (f"{metric.name} {_number(metric, before)} -> {_number(metric, after)}" for metric in trained.task.metrics)
    return [f"int8 on {split}, {len(examples.texts)} examples: {', '.join(pairs)}"]

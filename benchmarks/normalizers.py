"""Forward, and forward and backward pass, of every normalizer beside ``jax.nn.softmax``, unmasked and masked.

python -m benchmarks.normalizers [--only=NAME,...] [--shape=B,N,T,S] [--repetitions=20] [--keep_freed_memory] [--json=PATH]

Scores are standard normal. The backward pass takes a random upstream gradient to the scores and to the normalizer's own
parameters, and the weights are returned with it, since a layer needs both. Masks are random, 80 % allowed, shared by the heads,
no row empty, and the peer is then ``jax.nn.softmax(where=mask)``. What is timed is the record's ``apply`` in training, with two
exceptions: ``qk_norm`` and ``pos_temp`` act on queries and keys, so their hook runs too, on [B, T, N, 64]; what ``rela`` and
``differential`` do to the output, [B, T, N, 64], is left out.

Targets are of forward and backward: pointwise 1.2 (2 for softplus and gelu), one softmax-like pass over the row 1.3,
sparsemax and entmax15 4, other entmax 8. Those that draw noise, take several passes or couple rows by design have none.
Where the packages torch and entmax are installed, theirs run beside ours with as many threads, and the ratio is ours to theirs.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention import specs as variants
from attention.runs import environment
from benchmarks import _runner

HEAD_DIM = 64
SHAPES = ((8, 8, 512, 512), (1, 4, 2048, 2048))
PEER = "jax.nn.softmax"
ON_QUERIES = ("qk_norm", "pos_temp")  # normalizers whose work is in the hook of queries and keys

# Specs by family, and the ratio of forward and backward that they should not exceed.
FAMILIES: dict[str, tuple[float | None, tuple[str, ...]]] = {
    "pointwise": (
        1.2,
        (
            "sigmoid",
            "sigmoid(bias=-6.0)",
            "sigmoid(bias='learned')",
            "pointwise(activation='relu')",
            "pointwise(activation='relu2', power=2.0)",
            "pointwise(activation='relu6')",
            "pointwise(activation='sigmoid')",
            "pointwise(activation='identity')",
            "laplace",
            "rela",
        ),
    ),
    "pointwise, costly": (2.0, ("pointwise(activation='gelu')", "pointwise(activation='softplus')")),
    "softmax": (
        1.3,
        (
            "softmax",
            "softmax(temperature=0.5)",
            "softmax(temperature='learned')",
            "log_softmax",
            "softmax1",
            "sink",
            "ssmax(kappa=0.43)",
            "ssmax(bias=True)",
            "log_length(train_length=256)",
            "softcap",
            "pos_temp(floor=16)",
            "qk_norm(form='rms_head')",
            "qk_norm(form='l2_scale')",
            "clipped",
            "clipped(gamma=None, alpha=4.0)",
            "differential",
            "cog",
            "softpick",
            "taylor",
            "taylor(order=4)",
            "spherical",
            "l1_positive(map='softplus')",
            "l1_positive(map='relu')",
            "l1_positive(map='elu1')",
            "sum_norm",
            "sum_norm(form='absolute')",
        ),
    ),
    "sparse": (4.0, ("sparsemax", "entmax15")),
    "entmax": (
        8.0,
        (
            "entmax(alpha=1.25)",
            "entmax(alpha=1.5)",
            "entmax(alpha=1.75)",
            "entmax(alpha=2.5)",
            "entmax(alpha='learned')",
        ),
    ),
    "other": (
        None,
        (
            "normmax",
            "normmax(alpha=1.5)",
            "budget",
            "budget(k=16.0)",
            "topk",
            "topk(k=64)",
            "hard",
            "gumbel",
            "gumbel(hard=True)",
            "adaptive_temp(when='always')",
            "sinkhorn(iterations=3)",
            "slot",
            "double_norm",
            "stick_breaking",
            "selective",
        ),
    ),
}
# Ours, and the function of the entmax package that computes the same.
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "sparsemax": ("sparsemax", {}),
    "entmax15": ("entmax15", {}),
    "entmax(alpha=1.25)": ("entmax_bisect", {"alpha": 1.25, "n_iter": 50}),
}
COLUMNS = {
    **_runner.TIMES,
    **_runner.TARGETS,
    "temporary MiB": lambda row: f"{row.facts['temporary_mib']:.0f}" if row.facts.get("temporary_mib") is not None else "",
}


class Inputs(NamedTuple):
    """What all cases of a shape share. ``where`` is None in unmasked runs."""

    scores: jax.Array
    upstream: jax.Array
    where: jax.Array | None
    query: jax.Array
    key: jax.Array
    rng: jax.Array


def make_inputs(shape: Sequence[int]) -> Inputs:
    """Standard normal scores ``[B N T S]`` and upstream gradient, a random mask ``[B 1 T S]``, queries and keys."""
    B, N, T, S = shape
    rngs = jax.random.split(jax.random.key(0), 6)
    scores, upstream = (jax.random.normal(rng, (B, N, T, S)) for rng in rngs[:2])
    where = jax.random.bernoulli(rngs[2], 0.8, (B, 1, T, S)).at[..., 0].set(True)
    query, key = (jax.random.normal(rng, (B, length, N, HEAD_DIM)) for rng, length in zip(rngs[3:5], (T, S)))
    return Inputs(scores, upstream, where, query, key, rngs[5])


def rows(only: Sequence[str] = ()) -> Iterator[tuple[str, str, float | None]]:
    """(spec, family, target) of the cases, all of them or those of the normalizers named."""
    for family, (target, specs) in FAMILIES.items():
        yield from ((spec, family, target) for spec in specs if not only or variants.parse(spec).name in only)


def on_queries(spec: str) -> bool:
    """Whether the hook of queries and keys is timed too."""
    return spec != PEER and attention.build("normalizer", spec).qk is not None


def weigher(spec: str, shape: Sequence[int]) -> tuple[Callable[[Any, Inputs], Any], Any]:
    """The weights that ``spec`` makes, as a function of parameters and inputs, and parameters a little off their start."""
    if spec == PEER:
        return lambda params, given: jax.nn.softmax(given.scores, where=given.where), {}
    record = attention.build("normalizer", spec)
    _, N, T, S = shape
    dims = attention.Dims(num_heads=N, kv_heads=N, head_dim=HEAD_DIM, model_dim=N * HEAD_DIM, max_length=S)
    own = {} if record.init is None else record.init(jax.random.key(1), dims)
    leaves, structure = jax.tree.flatten(own)
    moved = [leaf + 0.1 * jax.random.normal(jax.random.key(i), leaf.shape) for i, leaf in enumerate(leaves)]
    params = jax.tree.unflatten(structure, moved)

    def weights(params, given):
        call = attention.Call(
            q_positions=jnp.arange(T),
            k_positions=jnp.arange(S),
            rng=given.rng,
            train=True,
            scale=HEAD_DIM**-0.5,
            max_length=S,
        )
        found = record.apply(params, given.scores, given.where, call)
        return (found, record.qk(params, given.query, given.key, call)) if on_queries(spec) else found

    return weights, params


def gradient(weights: Callable[[Any, Inputs], Any], spec: str) -> Callable[[Any, Inputs], Any]:
    """The weights, and the gradients of the parameters and of what the normalizer reads."""
    read = ("scores", "query", "key") if on_queries(spec) else ("scores",)

    def both(params, given):
        arrays = {name: getattr(given, name) for name in read}
        found, pull = jax.vjp(lambda params, arrays: weights(params, given._replace(**arrays)), params, arrays)
        if on_queries(spec):
            return found, pull((given.upstream, (given.query, given.key)))
        return found, pull(given.upstream[:, : found.shape[1]])  # of as many heads as there are maps

    return both


def make_cases(inputs: Inputs, only: Sequence[str], backward: bool) -> list[_runner.Case]:
    """The peer, and a case for each spec."""
    cases = []
    for spec, family, target in [(PEER, "", None), *rows(only)]:
        weights, params = weigher(spec, inputs.scores.shape)
        facts = {} if spec == PEER else {"normalizer": variants.parse(spec).name, "family": family}
        function = gradient(weights, spec) if backward else weights
        cases.append(
            _runner.compiled(spec, function, params, inputs, peer=PEER, target=target if backward else None, facts=facts)
        )
    return cases


def their_cases(ours: Sequence[_runner.Case], inputs: Inputs, backward: bool) -> list[_runner.Case]:
    """Those of ours that the entmax package has too, each with that as its peer."""
    torch, entmax = (importlib.import_module(name) for name in ("torch", "entmax"))
    torch.set_num_threads(environment.cores())  # as many as XLA takes
    scores, upstream = (torch.tensor(np.asarray(x)) for x in (inputs.scores, inputs.upstream))

    def run(function, options):
        given = scores.detach().requires_grad_(backward)
        weights = function(given, dim=-1, **options)
        return (weights, torch.autograd.grad(weights, given, upstream)) if backward else weights

    cases = []
    for case in ours:
        if case.name in THEIRS:
            name, options = THEIRS[case.name]
            label = f"entmax.{name}, torch"
            theirs = functools.partial(run, getattr(entmax, name), options)
            cases += [_runner.Case(label, theirs, peer=label), case._replace(peer=label, target=1.0)]
    return cases


def measure_shape(report: _runner.Report, shape: tuple[int, ...], only: Sequence[str]) -> None:
    """The four tables of a shape, and those beside the entmax package."""
    inputs = make_inputs(shape)
    has_theirs = all(importlib.util.find_spec(name) for name in ("torch", "entmax"))
    for masked, backward in ((False, False), (False, True), (True, False), (True, True)):
        given = inputs if masked else inputs._replace(where=None)
        facts = {"shape": list(shape), "masked": masked, "backward": backward}
        words = f"{list(shape)} float32, {'masked' if masked else 'unmasked'}, forward{' and backward' if backward else ''}"
        cases = make_cases(given, only, backward)
        report.run(words, cases, COLUMNS, beside=PEER, **facts)
        if has_theirs and not masked and (both := their_cases(cases, given, backward)):
            report.run(f"{words}, beside the package entmax on torch", both, COLUMNS, beside="entmax", **facts)


def _shape(text: str) -> tuple[int, ...]:
    shape = tuple(int(part) for part in text.split(","))
    if len(shape) != 4 or min(shape) < 1 or shape[1] % 2:
        raise ValueError
    return shape


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    parser = _runner.parser(__doc__)
    parser.add_argument("--only", default="", help="normalizers to measure, names with commas between them")
    parser.add_argument("--shape", type=_shape, action="append", help="B,N,T,S of the scores, N even; may be repeated")
    options = parser.parse_args(arguments)
    only = tuple(name for name in options.only.split(",") if name)
    known = attention.names("normalizer")
    if unknown := [name for name in only if name not in known]:
        parser.error(
            f"--only: unknown normalizer {unknown[0]!r}{variants.nearest(unknown[0], known)}; known: {', '.join(known)}"
        )
    report = _runner.Report(options)
    for shape in options.shape or SHAPES:
        measure_shape(report, shape, only)


if __name__ == "__main__":
    main()

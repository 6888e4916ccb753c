"""The kernels beside ``jax.nn.dot_product_attention`` and PyTorch's SDPA, where torch is there: time and temporary memory.

python -m benchmarks.kernels [--length=2048] [--repetitions=20] [--keep_freed_memory] [--table] [--json=PATH]

A mask's peer is full attention by the same kernel, an encoding's is SDPA with a dense bias, and the others' plain SDPA, or
jax.nn without torch. ``--table`` measures the ``dense`` kernel against ``chunked`` by mask instead, for what ``auto``
chooses. On Linux much of the time of whatever needs much memory goes into having its pages mapped anew in each
call; ``--keep_freed_memory`` measures without that, as train.py runs.
"""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import attention
from benchmarks import _runner

SHAPE = (4, 4, 64)  # B N H
CHUNKED = functools.partial(attention.attend, kernel="chunked")
# Name: function, peer (of torch where it is there), and for forward and forward with backward what the ratio should not exceed.
CASES: dict[str, tuple[Callable[..., Any], str, tuple[float | None, float | None]]] = {
    "jax.nn": (lambda q, k, v: jax.nn.dot_product_attention(q, k, v), "torch", (None, None)),
    "dense": (functools.partial(attention.attend, kernel="dense"), "torch", (None, None)),
    "chunked": (CHUNKED, "torch", (1.2, 1.3)),
    "chunked causal": (functools.partial(CHUNKED, mask="causal"), "chunked", (0.6, 0.6)),
    "chunked local(window=256)": (functools.partial(CHUNKED, mask="local(window=256)"), "chunked", (0.6, 0.6)),
    "chunked alibi": (functools.partial(CHUNKED, encoding="alibi"), "torch bias", (1.2, 1.3)),
    "chunked sparsemax": (functools.partial(CHUNKED, normalizer="sparsemax"), "torch", (None, None)),
    "chunked sigmoid": (functools.partial(CHUNKED, normalizer="sigmoid"), "torch", (None, None)),
}
COLUMNS = {
    **_runner.TIMES,
    "peer": lambda row: row.peer,
    **_runner.TARGETS,
    "temporary MiB": lambda row: "" if row.facts.get("temporary_mib") is None else f"{row.facts['temporary_mib']:.0f}",
}
# For ``auto``: masks that leave all, half, a fourth and fewer of the scores.
MASKS = ("full", "causal", "local(window=256)", "local(window=64)", "bigbird(block=64, random_blocks=1)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table for the forward pass and one for both."""
    parser = _runner.parser(__doc__)
    parser.add_argument("--length", type=int, default=2048, help="T and S")
    parser.add_argument("--table", action="store_true", help="dense against chunked, by mask")
    options = parser.parse_args(arguments)
    report = _runner.Report(options)
    if options.table:
        _table(report, options.length)
    else:
        for backward in (False, True):
            what = "forward and backward" if backward else "forward"
            report.run(f"B4 N4 T{options.length} H64 float32, {what}", _cases(options.length, backward), COLUMNS)


def _cases(length: int, backward: bool) -> list[_runner.Case]:
    arrays = _arrays(length)
    cases = _torch_cases(arrays, backward) if importlib.util.find_spec("torch") else []
    known = {case.name for case in cases}
    for name, (function, peer, targets) in CASES.items():
        peer = peer if peer in {*known, "chunked"} else "jax.nn"
        target = targets[backward] if "torch" not in peer or known else None
        cases.append(_runner.compiled(name, _passes(function, backward), *arrays, peer=peer, target=target))
    return cases


def _arrays(length: int) -> list[jax.Array]:
    B, N, H = SHAPE
    return [jax.random.normal(rng, (B, length, N, H)) for rng in jax.random.split(jax.random.key(0), 3)]


def _passes(function: Callable[..., Any], backward: bool) -> Callable[..., Any]:
    return jax.grad(lambda *arrays: jnp.sum(function(*arrays) ** 2), argnums=(0, 1, 2)) if backward else function


def _torch_cases(arrays: Sequence[jax.Array], backward: bool) -> list[_runner.Case]:
    """SDPA, causal SDPA and SDPA with a dense bias."""
    import torch  # which the rest of the project does without

    query, key, value = (torch.from_numpy(np.array(jnp.swapaxes(each, 1, 2))).requires_grad_(backward) for each in arrays)
    length = query.shape[-2]
    bias = torch.randn(1, SHAPE[1], length, length).expand(SHAPE[0], -1, -1, -1)
    attend = torch.nn.functional.scaled_dot_product_attention

    def run(options):
        if not backward:
            with torch.no_grad():
                attend(query, key, value, **options)
            return
        for each in (query, key, value):
            each.grad = None
        (attend(query, key, value, **options) ** 2).sum().backward()

    kinds: dict[str, dict[str, Any]] = {"": {}, " causal": {"is_causal": True}, " bias": {"attn_mask": bias}}
    return [
        _runner.Case(f"torch{kind}", functools.partial(run, options), peer="torch", facts={"torch": torch.__version__})
        for kind, options in kinds.items()
    ]


def _table(report: _runner.Report, length: int) -> None:
    """The time of ``dense`` in those of ``chunked``, forward and backward: above 1 ``chunked`` is faster."""
    cases, arrays = [], _arrays(length)
    for mask in MASKS:
        for kernel in ("chunked", "dense"):
            function = _passes(functools.partial(attention.attend, kernel=kernel, mask=mask), True)
            cases.append(_runner.compiled(f"{kernel} {mask}", function, *arrays, peer=f"chunked {mask}"))
    report.run(f"B4 N4 T{length} H64 float32, forward and backward", cases, COLUMNS)


if __name__ == "__main__":
    main()

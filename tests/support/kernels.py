"""The parts that kernels are tested with."""

import itertools

import attention
from attention.compatibility import check_parts

# Those that stand for their kinds, masks for what a kernel has to do: skip nothing, read runs, lists, or lists of each text.
# All others go through the kernels in the contracts of their own kinds.
PARTS = {
    "encoding": ["none", "rope", "alibi", "t5(buckets=8, max_distance=12)", "shaw(max_distance=3)"],
    "score": ["dot", "scaled_dot", "additive(hidden=3)", "cosine"],
    "normalizer": ["softmax", "softmax(temperature='learned')", "sparsemax", "sigmoid", "sigmoid(bias=-1)"],
    "mask": ["full", "causal", "local(window=6)", "longformer(window=4)", "bigbird(block=8, random_blocks=0)"],
}
LISTS = PARTS["mask"][3:]


def _compatible(combination):
    try:
        check_parts(attention.Parts(*(attention.build(kind, spec) for kind, spec in zip(PARTS, combination))))
    except ValueError:
        return False
    return True


def pairwise():
    """Few combinations that hold every compatible pair of parts: each next one is that with the most pairs still missing."""
    pairs = lambda combination: set(itertools.combinations(enumerate(combination), 2))
    everything = [c for c in itertools.product(*PARTS.values()) if _compatible(c)]
    missing = set().union(*map(pairs, everything))
    while missing:
        best = max(everything, key=lambda combination: len(pairs(combination) & missing))
        missing -= pairs(best)
        yield best

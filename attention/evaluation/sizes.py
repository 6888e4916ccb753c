"""Sizes that a run directory says, checked before memory is taken for them."""

from collections.abc import Iterator

from attention import specs
from attention.runs import checkpoints
from attention.runs.directory import DataRecord, RunDirectory
from attention.training import config

LARGEST = 10**8  # whole number in a spec of a run: examples of a source, width of a layer


def check(run: RunDirectory, settings: config.Config, data: DataRecord) -> None:
    """Raises ValueError for sizes that no run has, before memory is taken for them."""
    longest = -(-settings.data.max_length // 8) * 8
    if data.bucket_lengths[-1] > longest:
        raise ValueError(f"{run.data}: a padded length of {data.bucket_lengths[-1]}, where texts have {longest} tokens at most")
    size = max(path.stat().st_size for path in run.checkpoints.glob(f"{checkpoints.BEST}-*/{checkpoints.ARRAYS}"))
    model = settings.model
    most = dict.fromkeys((data.source, model.mixer, model.encoding), LARGEST)
    most |= dict.fromkeys((model.encoder, model.decoder), max(size, 4096))  # a layer is there in the checkpoint
    for spec, largest in most.items():
        for name, value in _numbers(specs.parse(spec)):
            if value > largest:
                raise ValueError(f"run {run.path}: {name}={value} in {spec!r} is more than such a run has")


def _numbers(spec: specs.Spec) -> Iterator[tuple[str, int]]:
    """The whole numbers among the options of a spec and of those in it, with their names."""
    for term in spec.terms:
        yield from _numbers(term)
    for name, value in spec.options:
        for item in value if type(value) is tuple else (value,):
            if isinstance(item, specs.Spec):
                yield from _numbers(item)
            elif isinstance(item, int) and not isinstance(item, bool):
                yield name, item

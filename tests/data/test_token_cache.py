"""Token ids on disk: the same as in memory, whole or made again, and never all of a corpus at once."""

import itertools
import tracemalloc

import numpy as np
import pytest

from attention.data import _token_cache, contracts, encode, plain_files, remarks
from attention.data.batches import Batches, Plan
from attention.data.dataset import load
from tests.support.sources import write

POEM = "".join(f"line {n}, of a poem that is {'very ' * (n % 5)}long\n{'' if n % 4 else chr(10)}" for n in range(300))
TAGGED = "text\ttags\n" + "".join(f"word {n} of it\t{'AB'[n % 2]} N _ P\n" for n in range(40))
LABELLED = "text\tlabel\n" + "".join(f"One {n}. Two three. {'Four. ' * (n % 3)}\t{n % 2}\n" for n in range(40))
SPECS = {
    "stream": ("text(path='{}/poem.txt')", {"windows": "stream"}),
    "blank": ("text(path='{}/poem.txt', documents=blank)", {"windows": "packed"}),
    "tagged": ("tagged(train='{}/tagged.tsv')", {}),
    "labelled": ("files(train='{}/labelled.tsv')", {"segments": "sentences", "positions": "segment"}),
}
FIELDS = ("flat", "offsets", "labels", "segments", "positions", "truncated", "wanted", "documents")


@pytest.fixture
def loaded(tmp_path):
    """(which, tokenizer) -> a data set, of files that are written beforehand."""
    for name, text in {"poem.txt": POEM, "tagged.tsv": TAGGED, "labelled.tsv": LABELLED}.items():
        write(tmp_path / name, text)

    def of(which, tokenizer="characters", cache="cache"):
        spec, options = SPECS[which]
        options = {"max_length": 16, "truncate": "middle", "seed": 0, **options}
        return load(spec.format(tmp_path), tokenizer, cache_dir=tmp_path / cache, training=True, **options)

    return of


def same(one, other):
    """Whether two data sets are, but for the types of whole numbers."""
    assert one.statistics == other.statistics
    assert one.hashes == other.hashes
    for name, split in one.splits.items():
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(split, field), getattr(other.splits[name], field), f"{name} {field}")
        assert (split.bytes, split.lost, split.slack) == (other.splits[name].bytes, other.splits[name].lost, split.slack)


@pytest.mark.parametrize("tokenizer", ["characters", "bytes", "words"])
@pytest.mark.parametrize("which", SPECS)
def test_ids_on_disk_are_those_in_memory(loaded, monkeypatch, which, tokenizer):
    """However many texts are tokenized at once, and whichever way they are kept; batches are equal to the last bit."""
    known = loaded(which, tokenizer)
    monkeypatch.setattr(_token_cache, "_MAPPED", 0)
    monkeypatch.setattr(encode, "_TEXTS", 3)
    monkeypatch.setattr(encode, "_CHARACTERS", 50)
    monkeypatch.setattr(contracts, "_AT_ONCE", 7)
    few = loaded(which, tokenizer, "other")
    same(known, few)
    ids = few.splits["train"].flat
    assert ids.dtype == (np.uint8 if few.vocab_size <= 256 else np.uint16)
    assert not ids.flags.writeable
    batches = []
    for rows in (known.splits["train"], few.splits["train"]):
        plan = Plan(rows.extents, batch_size=4, buckets=2, seed=0, slack=rows.slack)
        of = Batches(rows, plan, (0, 1))
        batches.append([of(step) for step in range(2 * plan.steps_per_epoch)])
    for one, other in zip(*batches, strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            assert array.dtype == other[name].dtype
            np.testing.assert_array_equal(array, other[name])


@pytest.mark.parametrize("kept", ["mapped", "read"])
@pytest.mark.parametrize("damage", ["first", "last", "middle", "cut", "empty"])
def test_a_damaged_file_of_ids_is_named_and_made_again(loaded, monkeypatch, tmp_path, kept, damage):
    if kept == "mapped":
        monkeypatch.setattr(_token_cache, "_MAPPED", 0)
    loaded("stream")
    files = sorted((tmp_path / "cache/tokens").iterdir(), key=lambda path: path.stat().st_size)
    path, whole = files[-1], files[-1].read_bytes()
    place = {"first": 0, "last": len(whole) - 1, "middle": len(whole) // 2}.get(damage)
    broken = whole[: len(whole) // 2] if damage == "cut" else b""
    if place is not None:
        broken = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    path.write_bytes(broken)
    again = loaded("stream")
    assert any(str(path) in note and "made again" in note for note in again.notes)
    assert path.read_bytes() == whole
    assert not any("made again" in note for note in loaded("stream").notes)


@pytest.mark.parametrize(("size", "dtype"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.int32)])
def test_ids_have_the_smallest_type_that_holds_them_and_the_end(size, dtype):
    """The end is one more than the greatest id of the tokenizer."""
    given = []
    encoder = contracts.Tokenizer(
        train=lambda texts: None,
        encode=lambda state, texts: [np.array([size - 1], np.int32) for _ in texts],
        decode=lambda state, ids: "x",
        size=lambda state: size,
        save=lambda state, folder: None,
        load=lambda folder: None,
        vocabulary=lambda state: (),
    )
    policy = encode.Policy(8, "head", "none", "text", "stream")
    encode.encoded_split(encoder, None, contracts.Split(["x"], None), (), policy, "text", given.append)
    assert {part.dtype for part in given} == {np.dtype(dtype)}
    assert np.concatenate(given).tolist() == [size, size - 1, size]


def test_counts_of_marked_tokens(monkeypatch):
    monkeypatch.setattr(contracts, "_AT_ONCE", 5)
    rng = np.random.default_rng(0)
    for total in (1, 4, 5, 6, 40):
        flat = rng.integers(0, 3, total + 2)
        offsets = np.unique([0, total, *rng.integers(0, total + 1, 6)])
        wanted = [int((flat[a:b] == 1).sum()) for a, b in itertools.pairwise(offsets)]
        assert contracts.counted(flat, offsets, lambda ids: ids == 1).tolist() == wanted
    facts = remarks.statistics(contracts.Encoded(flat, offsets, np.zeros(len(offsets) - 1)))
    assert facts["unknown_rate"] == pytest.approx((flat[:total] == 1).mean())


def test_a_corpus_is_never_in_memory_whole(tmp_path, monkeypatch):
    """From its file to batches, no more than some blocks of it are."""
    monkeypatch.setattr(_token_cache, "_MAPPED", 0)
    monkeypatch.setattr(_token_cache, "_READ", 2**14)
    monkeypatch.setattr(encode, "_CHARACTERS", 2**14)
    monkeypatch.setattr(plain_files, "BLOCK", 2**14)
    monkeypatch.setattr(plain_files, "_READ", 2**15)
    monkeypatch.setattr(contracts, "_AT_ONCE", 2**12)
    write(tmp_path / "poem.txt", POEM * 200)
    size = (tmp_path / "poem.txt").stat().st_size
    load_it = lambda: load(
        f"text(path='{tmp_path}/poem.txt')", "bytes", max_length=512, truncate="head", seed=0, windows="stream", training=True,
        cache_dir=tmp_path / "cache",
    )  # fmt: skip
    tracemalloc.start()
    rows = load_it().splits["train"]
    plan = Plan(rows.extents, batch_size=16, buckets=2, seed=0, slack=rows.slack)
    batches = Batches(rows, plan, (0,))
    for step in range(10):
        batches(step)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 2_500_000
    assert peak < size, (peak, size)

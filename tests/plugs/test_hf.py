"""The source hf with the datasets library: what it saved, what it has in its cache, files that it knows, and no network."""

import os
import shutil
import subprocess
import sys

import pytest

from attention import specs
from attention.data import tables
from tests.contracts import sources as contract
from tests.contracts.sources import load  # noqa: F401 (a fixture)
from tests.data.sources import hf
from tests.support.rows import knobs
from tests.support.sources import build, error_of

pytestmark = [pytest.mark.plug, pytest.mark.filterwarnings("default")]  # the warnings of the library are its own
CASE = hf.ROW.evidence.cases[0]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of the library's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", str(folder := tmp_path_factory.mktemp("cache")))
        yield folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the evidence prepares."""
    folder = tmp_path_factory.mktemp("hf")
    hf.prepare(folder)
    return folder


@pytest.mark.parametrize(
    "check",
    [
        contract.test_splits_of_texts_with_labels_or_targets,
        contract.test_labels_and_targets_are_right,
    ],
)
def test_the_contract_of_sources(check, load):  # noqa: F811
    check(CASE, load)


def test_the_same_by_its_resolved_spec(load, tmp_path, monkeypatch):  # noqa: F811
    contract.test_the_same_again_and_by_its_resolved_spec(CASE, load, tmp_path, monkeypatch)


@pytest.mark.parametrize("knob", [knob for knob in knobs("source") if knob.name == "hf"], ids=lambda knob: knob.with_)
def test_no_dead_options(knob, load):  # noqa: F811
    contract.test_no_dead_options(knob, load)


def test_what_was_saved_and_parquet_are_the_same(folder):
    saved = build("hf", path=folder / "saved").load(0)
    assert saved.classes == ("no", "yes")
    assert {name: len(split.texts) for name, split in saved.splits.items()} == {"train": 18, "validation": 2, "test": 5}
    assert saved.splits["test"].labels is None
    parquet = build("hf", path=folder / "parquet", name="first").load(0)
    for name in saved.splits:
        assert list(parquet.splits[name].texts) == list(saved.splits[name].texts)
    bare = specs.build("source", str(folder / "saved")).load(0)
    assert (bare.resolved, list(bare.splits["train"].texts)) == (saved.resolved, list(saved.splits["train"].texts))
    # and as files, without the library
    table = tables.read(*sorted((folder / "saved/train").glob("*.arrow")), text="text", label="label")
    assert table.labels == ["no", "yes"] * 10
    both = build("files", train=str(folder / "parquet/one/train-*.parquet"), test=str(folder / "parquet/one/test-*.parquet"))
    assert list(both.load(0).splits["test"].texts) == list(saved.splits["test"].texts)


def test_slices_and_rows_that_were_chosen(folder):
    import datasets

    halves = build("hf", path=folder / "saved", train="train[:50%]+more", validation="train[50%:]").load(0)
    assert halves.splits["validation"].texts == [f"café {n}" for n in range(10, 20)]
    assert halves.splits["validation"].labels.tolist() == [0, 1] * 5
    assert halves.splits["train"].texts[10:] == [f"more {n}" for n in range(8)]
    chosen = datasets.load_from_disk(str(folder / "saved"))["train"].shuffle(seed=0).select(range(6))
    chosen.save_to_disk(folder / "chosen")
    corpus = build("hf", path=folder / "chosen", validation="train").load(0)
    assert corpus.splits["train"].texts == chosen["text"][:]


def test_errors_are_one_line(folder):
    refused = {
        "there is no split 'trian' (nearest: 'train'); splits: train, more, test": {"train": "trian"},
        "the split 'train[:5x]': ": {"train": "train[:5x]"},
        f"{folder}/saved/train: the column 'txt' is missing (nearest: 'text'); columns: text, title, mark, label": {
            "text": "txt"
        },
        "what save_to_disk wrote has neither name= nor revision=": {"name": "other"},
        f"{folder}/saved/test, row 0 (counted from 0): 'label' is empty": {"validation": "test"},
    }
    for wanted, options in refused.items():
        assert wanted in error_of(lambda options=options: build("hf", path=folder / "saved", **options).load(0))
    assert "Config name is missing" in error_of(lambda: build("hf", path=folder / "parquet").load(0))
    assert "'third' not found. Available: ['first', 'other']" in error_of(
        lambda: build("hf", path=folder / "parquet", name="third").load(0)
    )
    message = error_of(lambda: build("hf", path=folder / "absent").load(0))
    assert message == f"{folder}/absent: Couldn't find any data file at {folder}/absent"
    damaged = shutil.copytree(folder / "saved", folder / "damaged")
    file = damaged / "train/data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes()[:100])
    assert error_of(lambda: build("hf", path=damaged).load(0)).startswith(f"{damaged}: ")


PROGRAM = """
import sys
from attention import specs
try:
    corpus = specs.build("source", sys.argv[1]).load(0)
    print(*corpus.splits["train"].texts[:2], sep=",")
except ValueError as error:
    print(error)
"""


def test_without_a_network(folder, cache):
    """A set of the hub that is in the cache is read; another is one line, and soon."""
    kept = folder / "home/datasets/nobody___toy"
    build("hf", path=folder / "parquet", name="first").load(0)
    shutil.copytree(cache / "parquet", kept)
    for file in list(kept.rglob("parquet-*.arrow")):
        file.rename(file.with_name(file.name.replace("parquet-", "toy-")))
    surroundings = {**os.environ, "HF_HOME": str(folder / "home"), "HF_ENDPOINT": "https://hub.invalid"}
    ask = lambda spec: subprocess.run([sys.executable, "-c", PROGRAM, spec], env=surroundings, capture_output=True, text=True)
    assert ask("hf(path='nobody/toy', name='first')").stdout == "café 0,café 1\n"
    done = ask("hf(path='nobody/other')")
    assert done.stdout.startswith("nobody/other: Couldn't reach 'nobody/other' on the Hub")
    assert done.stdout.endswith(
        "it is no folder here: without a network, save it elsewhere with save_to_disk and give that folder\n"
    )
    assert "Retrying" not in done.stderr

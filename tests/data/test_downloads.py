"""Published sets from archives: downloaded once, checked, and what goes wrong on the way."""

import functools
import hashlib
import http.server
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from attention.data.sources import _archives, _downloads, sst2, trec6
from tests.support.archives import zipped
from tests.support.sources import build, contents, error_of

ROOT = Path(__file__).resolve().parent.parent.parent
REAL = os.environ.get("ATTENTION_DATA_DIR")
real_data = pytest.mark.skipif(not REAL, reason="ATTENTION_DATA_DIR is not set")


# ---------------------------------------------------------------------------------------------- published sets, download


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        self.server.seen.append(self.path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder and the URL that serves it over the loopback."""
    monkeypatch.setenv("NO_PROXY", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    running = http.server.HTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    running.seen = []
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{running.server_port}", running.seen
    running.shutdown()
    running.server_close()
    thread.join()


def small(recipe, files, counts):
    """The recipe with the checksums and counts of small files."""
    return recipe._replace(files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()}, counts=counts)


def load(recipe, url, data_dir, share: float | None = 0.25, seed=0):
    options = dict(path=None, mirror=url, data_dir=str(data_dir), validation_share=share)
    return _downloads.source(recipe, **options).load(seed)


TREES = {
    "trees/train.txt": "(3 (2 It) (4 (2 's) (4 (3 Very) (4 good))))\n(1 (2 A) (0 bad))\n(2 (2 No) (2 view))\n",
    "trees/dev.txt": "(4 (4 Good) (2 -LRB-))\n(0 Bad)\n",
    "trees/test.txt": "(3 (2 Caf\u00e9) (3 \\/))\n(1 worse)\n",
}
TREC_TRAIN = "".join(f"{c}:fine Question\xe9 {n} {c} ?\n" for n in range(4) for c in trec6.CLASSES)


def test_trec_download(tmp_path, server, capfd):
    folder, url, seen = server
    files = {"train_5500.label": TREC_TRAIN.encode("iso-8859-1"), "TREC_10.label": b"HUM:ind Who  is\tit ?\nNUM:date When ?\n"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    recipe = small(trec6.RECIPE, files, {"train": (4,) * 6, "test": (0, 0, 0, 1, 0, 1)})
    corpus = load(recipe, url, tmp_path / "data")
    assert contents(corpus)["test"] == (["Who  is it ?", "When ?"], [3, 5])
    assert corpus.splits["train"].texts[0] in {f"Question\xe9 {n} ABBR ?" for n in range(2)}
    assert np.bincount(corpus.splits["validation"].labels).tolist() == [1] * 6
    assert corpus.resolved == f"trec6(mirror='{url}', data_dir='{tmp_path / 'data'}', validation_share=0.25)"
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == f"downloading {url}/train_5500.label\ndownloading {url}/TREC_10.label\n"
    assert seen == ["/train_5500.label", "/TREC_10.label"]
    # Prepared: nothing is downloaded again, the content is the same, another seed carves otherwise.
    assert contents(load(recipe, "http://127.0.0.1:1", tmp_path / "data")) == contents(corpus)
    other = load(recipe, "http://127.0.0.1:1", tmp_path / "data", seed=1)
    assert contents(other)["validation"] != contents(corpus)["validation"]
    assert not list((tmp_path / "data").rglob("*incomplete*"))


def test_sst_download_sentences_and_phrases(tmp_path, server):
    folder, url, _ = server
    files = {"trainDevTestTrees_PTB.zip": zipped(TREES)}
    (folder / "trainDevTestTrees_PTB.zip").write_bytes(files["trainDevTestTrees_PTB.zip"])
    counts = {"train": (1, 1), "validation": (1, 1), "test": (1, 1)}
    corpus = load(small(sst2.RECIPE, files, counts), url, tmp_path / "data", share=None)
    assert contents(corpus) == {
        "train": (["it 's very good", "a bad"], [1, 0]),
        "validation": (["good -lrb-", "bad"], [1, 0]),
        "test": (["caf\u00e9 \\/", "worse"], [1, 0]),
    }
    recipe = small(sst2.RECIPE, files, {**counts, "train": None})._replace(parse=sst2.parse_phrases, config="phrases")
    phrases = contents(load(recipe, url, tmp_path / "data", share=None))
    train = dict(zip(*phrases["train"]))
    assert train == {"it 's very good": 1, "'s very good": 1, "very good": 1, "very": 1, "good": 1, "a bad": 0, "bad": 0}
    assert phrases["test"] == contents(corpus)["test"]


def test_a_wrong_checksum_is_refused(tmp_path, server):
    folder, url, _ = server
    (folder / "train_5500.label").write_bytes(b"HUM:ind Who ?\n")
    message = error_of(lambda: build("trec6", mirror=url, data_dir=tmp_path / "data").load(0))
    assert f"{url}/train_5500.label is not the file it was: sha256 " in message
    assert trec6.RECIPE.files["train_5500.label"] in message
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_an_unknown_checksum_is_kept_from_the_first_download(tmp_path, server):
    folder, url, _ = server
    (folder / "a.tgz").write_bytes(b"first")
    path = _archives.fetch(f"{url}/a.tgz", tmp_path / "data", None)
    assert path.read_bytes() == b"first"
    assert (tmp_path / "data" / "a.tgz.sha256").read_text().strip() == hashlib.sha256(b"first").hexdigest()
    (folder / "a.tgz").write_bytes(b"second")
    assert _archives.fetch(f"{url}/a.tgz", tmp_path / "data", None) == path
    path.write_bytes(b"damaged")
    assert "is damaged (delete it" in error_of(lambda: _archives.fetch(f"{url}/a.tgz", tmp_path / "data", None))
    path.unlink()
    assert "is not the file it was" in error_of(lambda: _archives.fetch(f"{url}/a.tgz", tmp_path / "data", None))


def test_a_failing_network_is_one_line(tmp_path, server):
    _, url, _ = server
    for address, reason in ((url, "HTTP 404 File not found"), ("http://127.0.0.1:1", "refused"), ("nonsense", "unknown url")):
        message = error_of(lambda address=address: build("imdb", mirror=address, data_dir=tmp_path / "data").load(0))
        assert message.startswith(f"cannot download {address}/aclImdb_v1.tar.gz: ")
        assert reason in message
        assert """--config.data.source="imdb(path='FOLDER')" reads train.tsv[.gz]""" in message


def test_a_download_cut_short_is_refused(tmp_path, server, monkeypatch):
    folder, url, _ = server
    (folder / "a.tgz").write_bytes(b"x" * 1000)
    monkeypatch.setattr(Quiet, "copyfile", lambda self, source, output: output.write(source.read(400)))
    message = error_of(lambda: _archives.fetch(f"{url}/a.tgz", tmp_path / "data", None))
    assert "cannot download" in message
    assert not list((tmp_path / "data").iterdir())


def test_wrong_counts_and_damaged_archives_are_refused(tmp_path, server):
    folder, url, _ = server
    files = {"trainDevTestTrees_PTB.zip": zipped(TREES)}
    (folder / "trainDevTestTrees_PTB.zip").write_bytes(files["trainDevTestTrees_PTB.zip"])
    recipe = small(sst2.RECIPE, files, {"train": (2, 1), "validation": (1, 1), "test": (1, 1)})
    message = error_of(lambda: load(recipe, url, tmp_path / "data", share=None))
    assert "the train split of the download has 2 rows (negative 1, positive 1), published are 3 rows" in message
    for data, wanted in ((b"no zip", "not a whole zip"), (zipped({"trees/train.tx": "x"}), "nearest: 'trees/train.tx'")):
        (folder / "trainDevTestTrees_PTB.zip").write_bytes(data)
        recipe = small(sst2.RECIPE, {"trainDevTestTrees_PTB.zip": data}, recipe.counts)
        assert wanted in error_of(lambda recipe=recipe, name=wanted[:6]: load(recipe, url, tmp_path / name, share=None))

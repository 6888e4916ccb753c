"""Every block and every command of README, CONTRIBUTING, CHANGELOG and docs/ runs, as tests/support/pages.py says."""

import re

import pytest

from tests.support import pages
from tests.support.helpers import open_sizes

FILES = [pages.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
FILES += [path for path in sorted((pages.ROOT / "docs").rglob("*.md")) if "parts" not in path.parts]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory of a reader, with what a reader has."""
    pages.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(pages.ROOT)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("TFDS_DATA_DIR", "ATTENTION_CACHE_DIR", "ATTENTION_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    with pages.downloads(), open_sizes():
        yield tmp_path


@pytest.mark.parametrize("page", FILES, ids=lambda path: str(path.relative_to(pages.ROOT)))
def test_a_page_runs(page, folder):
    pages.run(page, folder)


PLANTED = {
    "a name": ("```python\nx = undefined\n```", "name 'undefined' is not defined"),
    "a value": ("```python\n1 + 1  # -> 3\n```", "1 \\+ 1"),
    "a field": ("`python train.py --config.model.encodin=rope`", "unknown config field 'model.encodin'"),
    "a config": ("`python train.py --config=configs/smok.py`", r"configs/smok\.py does not exist"),
    "a spec": ("```\npython train.py --config.model.encoding='rope(bas=5)'\n```", "unknown option 'bas'"),
    "a pair": ("`python train.py --config.model.score=additive --config.model.encoding=rope`", "a rotation has a meaning only"),
    "a note": ("```\npython train.py --describe    what would be trained\n```", "stray argument 'what'"),
    "a flag of a sweep": ("`python sweep.py --dryrun`", "unknown flag --dryrun"),
    "a variant of a sweep": ("`python sweep.py --config.sweep.baseline=nothing`", "must be one of the variants, got 'nothing'"),
    "a flag of a run that is not there": ("`python eval.py --workdir=runs/X --txt=hello`", "unknown flag --txt"),
    "a module": ("`python -m benchmarks.kernel --keep_freed_memory`", "there is no module benchmarks.kernel"),
    "a flag of a module": ("`python -m tools.pages --only=encodings`", "invalid choice"),
    "a file": ("`pip install -r requirement.txt`", "there is no requirement.txt"),
    "a copy": ("```\ncp nothing.py here.py\n```", "returned non-zero"),
    "output": ("```\nsomething printed\npython train.py\n```", "a command in a block that begins with none"),
}  # fmt: skip


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_fault_is_found(what, folder):
    text, message = PLANTED[what]
    page = folder / "planted.md"
    page.write_text(f"# Planted\n\n{text}\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"planted\.md, line 3: ") as caught:
        pages.run(page, folder)
    assert re.search(message, str(caught.value.__cause__))


def test_what_a_page_promises_to_be_printed_is_compared(folder):
    train = "python train.py --config=configs/tutorials/softmax_pooling.py --config.seeds=0 --workdir=runs/mine"
    train += " --config.data.source=\"files(train='mine.csv', validation_share=0.5)\" --config.training.steps=2"
    rows = "text,label\na b,one\nc d,two\nb a,one\nd c,two\n"
    said = "a b\n  one\n  one 0.51  two 0.49\n"
    for promised, fails in ((said, False), (said.replace("one", "three"), True)):
        page = folder / "planted.md"
        ask = "python eval.py --workdir=runs/mine --text='a b'"
        page.write_text(f"```\ncat > mine.csv <<END\n{rows}END\n{train}\n{ask}\n```\n\n```\n{promised}```\n", encoding="utf-8")
        if fails:
            with pytest.raises(AssertionError, match=r"printed is runs/mine(.|\n)*a b\n"):
                pages.run(page, folder)
        else:
            assert pages.run(page, folder) == 3


def test_pages_have_what_is_counted():
    """A reader of pages that finds nothing would pass."""
    found = [block for path in FILES for block in pages.blocks(path.read_text(encoding="utf-8"))]
    kinds = [block.kind for block in found]
    assert kinds.count("python") >= 10
    assert sum(len(list(pages.commands(block.text))) for block in found if block.kind in ("commands", "inline")) > 60

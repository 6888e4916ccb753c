"""Every block and every command of README, CONTRIBUTING, CHANGELOG and docs/ runs, as tests/support/pages.py says."""

import pytest

from tests.support import pages

FILES = [pages.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
FILES += [path for path in sorted((pages.ROOT / "docs").rglob("*.md")) if "parts" not in path.parts]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory of a reader, with what a reader has."""
    pages.furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(pages.ROOT)
    for name in ("TFDS_DATA_DIR", "ATTENTION_CACHE_DIR", "ATTENTION_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    with pages.downloads():
        yield tmp_path


@pytest.mark.parametrize("page", FILES, ids=lambda path: str(path.relative_to(pages.ROOT)))
def test_a_page_runs(page, folder):
    pages.run(page, folder)

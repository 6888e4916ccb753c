"""The README's example of a variant, added to a copy of the project, passes everything that is asked of a normalizer."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_example_of_the_readme(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    files = re.findall(r"^```python\n# ((?:attention|tests)/normalizers/(\w+)\.py)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (method, evidence), (name,) = [path for path, _, _ in files], {name for _, name, _ in files}
    assert (method, evidence) == (f"attention/normalizers/{name}.py", f"tests/normalizers/{name}.py")
    for folder in ("attention", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path, _, code in files:
        (tmp_path / path).write_text(code, encoding="utf-8")
    contracts = [f"tests/contracts/{each}.py" for each in ("normalizers", "normalizer_claims", "normalizer_functions", "rows")]
    command = [sys.executable, "-m", "pytest", "-n", "0", *contracts, evidence, "-k", name]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 20

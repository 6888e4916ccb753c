"""What is installed: the wheel with its commands and configs, its version, the lock file, and whose ``attention`` it is."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import attention
import attention_lab
from attention import installation
from attention.runs import environment
from attention.training import config_files

ROOT = Path(attention.__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from a copy of what it is made of, with what the project asks for and no network."""
    if int(metadata.version("setuptools").split(".")[0]) < 77:
        pytest.skip("building the wheel needs setuptools >= 77")
    folder = tmp_path_factory.mktemp("wheel")
    source, caches = folder / "source", shutil.ignore_patterns("__pycache__")
    for name in ("attention", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=caches)
    for name in ("attention_lab.py", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    built = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-q",
        "-w",
        folder,
        source,
    ]
    done = subprocess.run(built, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """``run(command, *arguments)`` of the unpacked wheel, in a folder without the checkout: exit code, stdout and stderr.

    What it needs beside itself is that of this Python; ``without`` names modules that are then not to be found.
    """
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    (folder / "away").mkdir()
    start = (
        "import sys; hidden = sys.argv.pop(1).split(); sys.modules.update(dict.fromkeys(filter(None, hidden)));"
        "import attention_lab; name = sys.argv[0] = sys.argv.pop(1);"
        "sys.exit({'attention-train': attention_lab.train, 'attention-eval': attention_lab.evaluate,"
        " 'attention-sweep': attention_lab.sweep, 'attention_lab': attention_lab.main}[name]())"
    )

    def run(command, *arguments, without=""):
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, "-P", "-c", start, without, command, *arguments],
            cwd=folder / "away",
            env={**kept, "PYTHONPATH": str(folder / "site")},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_the_wheel_is_whole(wheel):
    """All of the package and of ``configs/``, and nothing at top level that another package might have."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    data = (".py", ".pyi", ".typed", ".css", ".js", ".j2")
    files = [path for path in (ROOT / "attention").rglob("*") if path.suffix in data]
    assert {str(path.relative_to(ROOT)) for path in files} <= inside
    assert {f"attention/configs/{name}.py" for name in config_files.names()} <= inside
    tops = {name.split("/")[0] for name in inside}
    assert tops == {"attention", "attention_lab.py", f"attention_lab-{PROJECT['version']}.dist-info"}
    entry = zipfile.ZipFile(wheel).read(f"attention_lab-{PROJECT['version']}.dist-info/entry_points.txt").decode()
    assert dict(re.findall(r"^(attention-\w+) = (\S+)$", entry, re.M)) == PROJECT["scripts"]
    for target in PROJECT["scripts"].values():
        assert callable(getattr(attention_lab, target.removeprefix("attention_lab:")))


def test_the_wheel_says_what_it_is_and_how_it_is_called(installed):
    assert installed("attention-train", "--version")[:2] == (0, f"attention-lab {PROJECT['version']}\n")
    code, said, _ = installed("attention-sweep", "--help")
    assert code == 0
    assert "attention-sweep --config=sweeps/smoke" in said
    assert "python sweep.py" not in said
    assert (
        installed("attention-train", "--config=smok")[2]
        == "error: no config 'smok' (nearest: 'smoke'); a file of your own is PATH.py\n"
    )


MISSING = [("train", "absl"), ("train", "flax"), ("eval", "ml_collections"), ("sweep", "pyarrow")]


@pytest.mark.parametrize(("command", "module"), MISSING)
def test_a_missing_module_is_named_with_the_extra(installed, command, module):
    code, _, error = installed(f"attention-{command}", "--config=smoke", "--workdir=x", without=module)
    assert code == 2
    assert error == f"error: module {module} is not installed: pip install 'attention-lab[train]'\n"


def test_the_wheel_imports_with_jax_alone(wheel, tmp_path):
    """From an unpacked wheel, with nothing to be found beside what jax and jaxtyping need."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "package")
    (tmp_path / "path").mkdir()
    site = Path(sysconfig.get_path("purelib"))
    needed = [
        "jax",
        "jaxlib",
        "jaxtyping",
        "numpy",
        "numpy.libs",
        "scipy",
        "scipy.libs",
        "ml_dtypes",
        "opt_einsum",
        "wadler_lindig",
    ]
    needed += [p.name for p in site.glob("*.dist-info") if p.name.split("-")[0] in ("jax", "jaxlib", "jaxtyping", "numpy")]
    for name in needed:
        if (site / name).exists():
            (tmp_path / "path" / name).symlink_to(site / name)
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import attention, jax.numpy as jnp;"
        "weights = attention.sparsemax(jnp.array([1.0, 2.0, 0.5, -1.0, 1.8]));"
        "print(attention.__file__, float(weights[1]), *attention.names('encoding'))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, tmp_path / "package", tmp_path / "path"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    where, value, *names = done.stdout.split()
    assert where.startswith(str(tmp_path))
    assert abs(float(value) - 0.6) < 1e-6
    assert names == list(attention.names("encoding"))


# ---- the version


def test_version_is_one():
    citation = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert PROJECT["version"] == attention.__version__ == installation.version() == citation[1]
    assert environment.environment()["version"] == PROJECT["version"]


# ---- whose package


def _site(tmp_path, init):
    """A folder where another package wrote ``attention/__init__.py`` over ours; no file at all where None."""
    for name in ("installation.py", "specs.py", "messages.py"):
        (tmp_path / "attention").mkdir(exist_ok=True)
        shutil.copy(ROOT / "attention" / name, tmp_path / "attention" / name)
    shutil.copy(ROOT / "attention_lab.py", tmp_path)
    if init is not None:
        (tmp_path / "attention/__init__.py").write_text(init)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def python(*arguments):
        done = subprocess.run([sys.executable, "-P", *arguments], env=environment, capture_output=True, text=True, cwd=tmp_path)
        return done.returncode, done.stderr.strip().splitlines()

    return python


OTHER = {"an import that fails": "import tensorflow_that_is_missing", "its own class": "class Attention: pass", "no file": None}


@pytest.mark.parametrize("case", OTHER)
def test_another_package_on_top_is_one_clear_line(tmp_path, case):
    python = _site(tmp_path, OTHER[case])
    for command in (["-m", "attention_lab"], ["-c", "import attention_lab, sys; sys.exit(attention_lab.train())"]):
        code, lines = python(*command)
        assert (code, len(lines)) == (2, 1), lines
        assert "another package 'attention'" in lines[0]
        assert "pip uninstall attention" in lines[0]


@pytest.mark.parametrize("init", ["class Attention: pass", None])
def test_modules_of_ours_under_another_package_say_so(tmp_path, init):
    code, lines = _site(tmp_path, init)("-c", "from attention import specs")
    assert code == 1
    assert lines[-1].startswith("ImportError: 'attention' is another package than attention-lab's")


# ---- the lock file


def test_the_lock_file_pins_what_requirements_txt_pins():
    pins = lambda text: dict(re.findall(r"^([\w.-]+)==([\w.+]+)", text, re.M))
    normal = lambda found: {name.lower().replace("_", "-"): version for name, version in found.items()}
    asked = normal(pins((ROOT / "requirements.txt").read_text()))
    lock = (ROOT / "requirements.lock").read_text()
    locked = normal(pins(lock))
    assert asked.items() <= locked.items()
    extra = {re.split(r"[<>=]", each)[0].lower().replace("_", "-") for each in PROJECT["optional-dependencies"]["train"]}
    assert extra <= set(asked)
    for entry in re.split(r"\n(?=[\w.-]+==)", lock)[1:]:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


@pytest.mark.parametrize(
    ("module", "asked"),
    [
        ("absl", "attention.train"),
        ("flax", "attention.build('encoder', 'transformer')"),
        ("pyarrow", "attention.sweep()"),
        ("ml_collections", "from attention.lab import grid, plan"),
        ("ml_collections", "import attention.training.config"),
        ("flax", "import attention.models.classifier"),
        ("flax", "from attention.encoders import transformer"),
        ("flax", "from attention.evaluation import load"),
        ("optax", "from attention.optimizers import adamw"),
    ],
)
def test_a_missing_module_is_named_in_python(module, asked):
    code = f"import sys; sys.modules[{module!r}] = None; import attention; {asked}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    last = done.stderr.splitlines()[-1]
    assert last == f"ModuleNotFoundError: module {module} is not installed: pip install -r requirements.txt"


def test_kinds_are_listed_without_what_their_files_need():
    code = "import sys; sys.modules['flax'] = None; import attention; print(attention.names('encoder'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "'transformer'" in done.stdout

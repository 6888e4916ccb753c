"""How this package was installed, and what follows: its version, its configs, its commands, and how to get what is missing.

A checkout is a folder with the ``pyproject.toml`` of this project; all else is a wheel. Imports the standard library alone.
"""

import contextlib
import functools
import importlib.util
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "attention-lab"
EXTRAS = {  # module: the extra of pyproject.toml that brings it
    "alembic": "mlflow",
    "datasets": "hf",
    "equinox": "equinox",
    "flatbuffers": "export",
    "mlflow": "mlflow",
    "ray": "ray",
    "safetensors": "export",
    "sqlalchemy": "mlflow",
    "tensorboardX": "tensorboard",
    "wandb": "wandb",
}
WINDOWS = "runs are locked by fcntl, which Linux and macOS have; on Windows use WSL"
_PACKAGE = Path(__file__).parent
_imported = sys.modules["attention"]
# PyPI's package of that name has a class Attention; it may have been installed over this one.
if _imported.__file__ is None or "Attention" in vars(_imported):
    raise ImportError("'attention' is another package than attention-lab's: python -m attention_lab says what to do")


@functools.cache
def checkout() -> bool:
    """Whether the package lies in a checkout, also where that is installed with ``pip install -e``."""
    return _project().get("name") == DISTRIBUTION


@functools.cache
def version() -> str:
    """Of a checkout what ``pyproject.toml`` says, else what is installed; "unknown" for a bare copy of the folder."""
    if checkout():
        return _project()["version"]
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


def configs() -> Path:
    """The folder of the configs that come along."""
    return (_PACKAGE.parent if checkout() else _PACKAGE) / "configs"


def program(command: str) -> str:
    """How a user starts a command here: ``attention-train``, or in a checkout ``python train.py``.

    Args:
      command: train, eval or sweep.
    """
    installed = Path(sys.argv[0]).name.startswith("attention-") or not checkout()
    return f"attention-{command}" if installed else f"python {command}.py"


def lacking(error: ImportError) -> str | None:
    """One line on a module that is not installed, and how to get it; None for an error of another kind, which is a defect."""
    name = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or name in ("", "attention"):
        return None
    if name == "fcntl":  # of Python itself
        return WINDOWS
    extra = EXTRAS.get(name, "train")
    source = "." if checkout() else DISTRIBUTION
    install = "-r requirements.txt" if checkout() and extra == "train" else f"'{source}[{extra}]'"
    return f"module {name} is not installed: pip install {install}"


@contextlib.contextmanager
def naming_what_is_missing() -> Iterator[None]:
    """Puts ``lacking`` in the place of Python's message, for whom imports a part that needs more than JAX."""
    try:
        yield
    except ModuleNotFoundError as error:
        message = lacking(error)
        if message is None:
            raise
        raise ModuleNotFoundError(message, name=error.name) from None


def require(*modules: str) -> None:
    """Raises ModuleNotFoundError, as ``lacking`` says it, for the first of the modules that is not installed."""
    for name in modules:
        if sys.modules.get(name) is None and importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(lacking(ModuleNotFoundError(name=name)), name=name)


@functools.cache
def _project() -> dict[str, str]:
    """The table ``project`` of the ``pyproject.toml`` beside the package; empty where there is none that can be read."""
    try:
        return tomllib.loads((_PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return {}

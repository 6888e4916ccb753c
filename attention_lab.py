"""Where the commands enter: outside of ``attention``, to see first whose that is.

PyPI has another package whose import name is ``attention``. Both write ``attention/__init__.py``, and the one that is installed
last wins. ``python -m attention_lab`` says which one that is.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

_AGAIN = "pip uninstall attention, then install attention-lab again with --force-reinstall"


def clash() -> str | None:
    """Why ``import attention`` would not give this project's package; None where it would."""
    found = importlib.util.find_spec("attention")
    if found is None:
        return f"there is no package 'attention', so attention-lab is not whole; {_AGAIN}"
    if found.origin is None:  # a folder without __init__.py
        return f"attention/__init__.py is missing, as after another package 'attention' was uninstalled; {_AGAIN}"
    if "PURE_KINDS" not in Path(found.origin).read_text(encoding="utf-8", errors="replace"):
        return f"{found.origin} belongs to another package 'attention', not to attention-lab; {_AGAIN}"
    return None


def _run(command: str) -> int:
    """The exit code of a command; 2, after one line, where it cannot be imported, and 130 where that is interrupted."""
    message, code = clash(), 2
    if message is None:
        try:
            main = importlib.import_module(f"attention.commands.{command}").main
            return importlib.import_module("attention.training.command_line").run_main(main)
        except ModuleNotFoundError as error:
            message = importlib.import_module("attention.installation").lacking(error)
            if message is None:
                raise
        except KeyboardInterrupt:
            message, code = "interrupted", 130
    print(f"error: {message}", file=sys.stderr)
    return code


def train() -> int:
    """``attention-train``."""
    return _run("train")


def evaluate() -> int:
    """``attention-eval``."""
    return _run("eval")


def sweep() -> int:
    """``attention-sweep``."""
    return _run("sweep")


def main() -> int:
    """Says whose ``attention`` is imported, or with ``train`` as the first argument trains; returns the exit code."""
    if sys.argv[1:2] == ["train"]:  # as jobs of a sweep do, wherever this file lies
        del sys.argv[1]
        return train()
    if message := clash():
        print(f"error: {message}", file=sys.stderr)
        return 2
    ours = importlib.import_module("attention")
    print(f"attention-lab {ours.__version__} in {ours.__file__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

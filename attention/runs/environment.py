"""What a number may depend on beside config and data: versions, machine, sources."""

import datetime
import functools
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from attention import installation
from attention.files import file_hash, json_hash

_PACKAGE = Path(__file__).parent.parent


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def environment() -> dict[str, Any]:
    """What a number may depend on beside the config: versions, device, processor, cores, kernel of the system, and the sources.

    ``sources`` is a hash over those of ``sources()``; ``git_dirty`` says whether files differ from the commit or are in none,
    of which ``git_untracked`` lists those of Python.
    """
    device = jax.devices()[0]
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn")
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
        "device": device.device_kind,
        "device_count": jax.device_count(),
        "processor": processor(),
        "cores": cores(),
        "platform": device.platform,
        "system": platform.platform(),
        "version": installation.version(),
        "sources": json_hash(sources()),
        **_git(),
    }


def now() -> str:
    """The time in UTC, to the second: ``2026-11-29T20:15:04Z``."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@functools.cache
def processor() -> str | None:
    """The name that the processor gives itself, on one line; where the system does not tell it, None."""
    lines = system_text("/proc/cpuinfo").splitlines()
    found = {name.strip(): " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}
    told = found.get("model name") or found.get("Model") or _ask("sysctl", "-n", "machdep.cpu.brand_string")
    return told or " ".join(platform.processor().split()) or None


def cores() -> int:
    """The cores that this process may use; where the system does not say which these are, as macOS, all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def sources() -> dict[str, str]:
    """The sha256 of each file of the package, by its path in it; configs, which a wheel has there too, are none of it."""
    configs = installation.configs()
    files = sorted(path for path in _PACKAGE.rglob("*.py") if path.is_file() and configs not in path.parents)
    return {path.relative_to(_PACKAGE).as_posix(): file_hash(path) for path in files}


@functools.cache
def _git() -> dict[str, Any]:
    """The commit of this source tree and what is not in it; None where the tree is not tracked by git."""
    here = Path(__file__)

    def ask(*arguments: str) -> str | None:
        return _ask("git", "--no-optional-locks", "-C", str(here.parent), *arguments)  # a kill leaves no lock behind

    if not ask("ls-files", "--error-unmatch", here.name):  # installed into a folder of some other repository
        return {"git_commit": None, "git_dirty": None, "git_untracked": None}
    untracked = ask("ls-files", "--others", "--exclude-standard", "--full-name", ":/*.py")
    names = [] if not untracked else untracked.splitlines()
    dirty = bool(ask("status", "--porcelain", "-uno")) or bool(names)
    return {"git_commit": ask("rev-parse", "HEAD"), "git_dirty": dirty, "git_untracked": names}


def _ask(*command: str) -> str | None:
    """What a program prints; None where there is none, or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def system_text(path: str) -> str:
    """What a file of the system says; nothing where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

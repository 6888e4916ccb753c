"""What a number may depend on beside config and data: versions, machine, sources."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax


def environment() -> dict[str, Any]:
    """What a number may depend on beside the config: versions, device, cores, kernel of the system, git commit."""
    device = jax.devices()[0]
    packages = ("jax", "jaxlib", "flax", "optax", "numpy")
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
        "device": device.device_kind,
        "device_count": jax.device_count(),
        "cores": cores(),
        "platform": device.platform,
        "system": platform.platform(),
        **_git(),
    }


def cores() -> int:
    """The cores that this process may use; where the system does not say which these are, as macOS, all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _git() -> dict[str, Any]:
    """Commit of this source tree and whether tracked files differ from it; None where it is not tracked by git."""
    here = Path(__file__)

    def ask(*arguments: str) -> str | None:
        try:
            command = ["git", "--no-optional-locks", "-C", here.parent, *arguments]  # a kill leaves no lock behind
            done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if not ask("ls-files", "--error-unmatch", here.name):  # installed into a folder of some other repository
        return {"git_commit": None, "git_dirty": None}
    return {"git_commit": ask("rev-parse", "HEAD"), "git_dirty": bool(ask("status", "--porcelain", "-uno"))}

"""How busy the machine was while a run trained, and whether its times say what the run costs.

Times are trusted unless something shows that the run had to wait: its process had less than one core while it made updates,
which on a CPU take one at least; or on average there were more runnable threads on the machine than cores. Neither is asked of
what is not known: processor time of one cohort among several of a process, and the load where the system does not tell it. The
load is that of the last minute, so that what ran just before counts for a short run.
"""

import os
from collections.abc import Mapping
from typing import Any

import jax

ENOUGH = 0.9  # cores that a process has at least where it does not wait
CROWDED = 1.25  # runnable threads for each core above which some wait


def load_average() -> float | None:
    """Runnable threads on the machine, on average of the last minute; None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def own_time() -> bool:
    """Whether the processor time of this process is that of the updates of one cohort: they are computed by it, and alone."""
    return jax.devices()[0].platform == "cpu" and jax.local_device_count() == 1


def busy(step_seconds: float | None, process_seconds: float | None, load: float | None, cores: int | None) -> str | None:
    """Why the time of updates does not say what they cost; None where nothing speaks against it.

    Args:
      step_seconds: of the clock.
      process_seconds: of the processors, in the same updates.
      load: ``load_average`` over them.
      cores: of the machine.
    """
    said = []
    if process_seconds is not None and step_seconds and process_seconds < ENOUGH * step_seconds:
        said.append(f"the process had {process_seconds / step_seconds:.2f} cores")
    if load is not None and cores and load > CROWDED * cores:
        said.append(f"{load:.1f} threads wanted {cores} {'core' if cores == 1 else 'cores'}")
    return ", ".join(said) or None


def busy_in(result: Mapping[str, Any]) -> str | None:
    """``busy`` of what ``result.json`` holds; runs of before these were recorded say nothing."""
    return busy(*(result.get(name) for name in ("step_seconds", "process_seconds", "load", "cores")))

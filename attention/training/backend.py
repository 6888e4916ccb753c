"""JAX as the commands need it: on a platform that is there, without switches that training cannot do with."""

import os

import jax

from attention.files import user_cache
from attention.training.process import keep_freed_memory

# Switches of JAX under which no run trains, or under which a seed means other numbers: their values, and why.
_GUARD = (("disallow", "disallow_explicit"), "every update takes its batch to the device")
_REFUSED = {
    "jax_enable_x64": ((True,), "parameters and optimizer state are float32"),
    "jax_disable_jit": ((True,), "an update is compiled before it runs; ATTENTION_TRACEBACK=1 shows where an error arises"),
    "jax_no_tracing": ((True,), "an update is traced and compiled before it runs"),
    "jax_no_execution": ((True,), "an update is executed"),
    "jax_debug_key_reuse": ((True,), "the members of a cohort are evaluated with one key"),
    "jax_numpy_dtype_promotion": (("strict",), "masks are multiplied with numbers; 'standard' works"),
    "jax_numpy_rank_promotion": (("raise",), "masks and biases are spread over axes that they lack; 'warn' works"),
    "jax_default_prng_impl": (("rbg", "unsafe_rbg"), "the numbers of a seed are those of threefry2x32"),
    "jax_threefry_partitionable": ((False,), "the numbers of a seed are those of the partitionable form"),
    **dict.fromkeys(("jax_transfer_guard", "jax_transfer_guard_host_to_device", "jax_transfer_guard_device_to_host"), _GUARD),
}


def prepare() -> None:
    """Checks JAX's platform and switches, keeps freed memory, and compiled programs, however small, between processes.

    Programs lie in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``, ``attention-lab/compilation``), because
    who can write there can have code run here; ``JAX_COMPILATION_CACHE_DIR`` names another.

    Raises:
      ValueError: for a platform that is not there, naming those that are, for a switch under which nothing trains, and where
        no folder is the user's.
    """
    keep_freed_memory()  # before there are devices, whose threads would have heaps of their own
    _check_switches()
    _check_platform()
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(user_cache() / "compilation"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _check_switches() -> None:
    """Raises ValueError for a switch that is refused, with the reason."""
    for name, (values, reason) in _REFUSED.items():
        if (value := getattr(jax.config, name, None)) in values:
            raise ValueError(f"{name.upper()}={os.environ.get(name.upper(), value)} is not for these commands: {reason}")


def _check_platform() -> None:
    """Asks for the devices. Raises ValueError where JAX has none, or none of the platform that it was told to take."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        names, why = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME"), f"; JAX says: {error}" if str(error) else ""
        given = {name: f"{name}={os.environ[name]}" for name in (*names, "XLA_FLAGS") if os.environ.get(name)}
        for name in names:
            jax.config.update(name.lower(), "")
        try:
            there = ", ".join(sorted({"cpu", *(device.platform for device in jax.devices())}))
        except RuntimeError:
            raise ValueError(f"{' '.join(given.values())}: JAX has no device{why}") from None
        asked = " ".join(given[name] for name in names if name in given)
        raise ValueError(
            f"{asked}: this machine, or this installation of JAX, has no such platform; there are: {there}{why}"
        ) from None

"""What every test shares: strict settings, and compiled programs kept between runs."""

import importlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import zlib
from collections import defaultdict
from pathlib import Path

# A shell has what it starts in its background ignore interrupts, and all that this starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attention-lab" / "test-compilation"
# Set in the environment, so that the processes that tests start have them too.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Nearly all the time of the tests is compiling small programs. Without LLVM's optimiser, fusions built by way of MLIR, and
# programs split to be compiled side by side, it is a fraction, and changes results by rounding alone. What is set outside wins;
# with ATTENTION_TESTS_OPTIMIZED=1 programs are compiled as users compile them, which tests of bitwise equality need once.
_FAST = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)


def _known(flags):
    """Those that this jaxlib knows: it ends a process for an unknown one, so each is tried in a process of its own."""
    command = [sys.executable, "-c", "import jaxlib.xla_client as client; client.make_cpu_client()"]
    tried = [
        (flag, subprocess.Popen(command, env=os.environ | {"XLA_FLAGS": flag}, stderr=subprocess.DEVNULL)) for flag in flags
    ]
    return [flag for flag, process in tried if process.wait() == 0]


if not os.environ.get("ATTENTION_TESTS_OPTIMIZED"):
    _SET = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join([*_known([flag for flag in _FAST if flag not in _SET]), *_SET])

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

pytest.register_assert_rewrite("tests.support")

jax.config.update("jax_default_matmul_precision", "highest")

hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, database=None, max_examples=40, print_blob=False)
hypothesis.settings.load_profile("suite")


def pytest_configure(config):
    # JAX writes its cache in place: a worker that reads what another is writing compiles anew, and says so.
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache entry")


def pytest_addoption(parser):
    parser.addoption("--one_in", type=int, default=1, metavar="N", help="of the cases of each test one in N, at least one")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Each test takes up its cases at a place of its own, so that what one leaves out of many rows another has."""
    n, tests = config.getoption("one_in"), defaultdict(list)
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
    kept = {item for name, cases in tests.items() for item in cases[zlib.crc32(name.encode()) % min(n, len(cases)) :: n]}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def pytest_ignore_collect(collection_path, config):
    """Oracles, plugs and clusters are read only when asked for, so that nothing else needs their packages."""
    groups = {"oracle": ("oracles", "sdpa"), "plug": ("plugs",), "cluster": ("cluster",)}
    asked = [group for group in groups if group in config.getoption("markexpr").replace(f"not {group}", "")]
    stems = [stem for group in groups if group not in asked for stem in groups[group]]
    return True if collection_path.stem in stems or collection_path.parent.name in stems else None


def pytest_terminal_summary(terminalreporter):
    """A line per method and oracle: the largest differences of the value and of the gradient."""
    lines = defaultdict(list)
    for report in terminalreporter.stats.get("passed", []):
        for name, row in report.user_properties:
            if name == "oracle":
                lines[tuple(row[:2])].append(row[2:])
    if lines:
        terminalreporter.write_sep("=", "largest differences, of 1 or of the largest entry: value, gradient")
    for (kind, method), found in sorted(lines.items()):
        for i, (oracle, value, gradient) in enumerate(sorted(found)):
            last = "-" if gradient is None else f"{gradient:.0e}"
            terminalreporter.write_line(f"{'' if i else f'{kind} {method}':26} {oracle:58} {value:6.0e} {last:>6}")


_STARTED = itertools.count(1)


@pytest.fixture(autouse=True)
def release_programs():
    """Thousands of compiled programs hold gigabytes; those of tests long past are not needed again."""
    yield
    if next(_STARTED) % 150 == 0:
        jax.clear_caches()


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 16 queries and 8 keys; returns the shapes (queries, keys) that blocks were computed with."""
    module = importlib.import_module("attention.kernels.chunked")  # the name in the package is the function
    seen, compute = [], module.attend_block

    def spy(problem):
        seen.append((problem.query.shape[-3], problem.key.shape[-3]))
        return compute(problem)

    monkeypatch.setattr(module, "attend_block", spy)
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 0)
    monkeypatch.setattr(module, "VISIT_ELEMENTS", 0)  # no visits
    monkeypatch.setattr(module, "KEY_BLOCK", 8)
    monkeypatch.setattr(module, "STREAM_KEYS", 8)
    for cost, value in (("LISTED", 1.0), ("KEY_COST", 0), ("BLOCK_COST", 0)):  # of short texts the scores alone decide
        monkeypatch.setattr(module._plan, cost, value)
    return seen

"""What is measured on accelerators and computed for them: that it runs, checks itself and writes what it found."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import _runner, accelerator
from benchmarks import compile_for_accelerators as computed
from tests.support.helpers import jit

ROW = {
    "batch": 64,
    "length": 24,
    "kernel": "dense",
    "compute_dtype": "float32",
    "state_bytes": 3 * 2**20,
    "work_bytes": 2**19,
    "operations": 67e9,
    "moved_bytes": 2.4e9,
    "loops": False,
    "compiling_seconds": 7.5,
    "jax": "0.10.2",
    "git_commit": None,
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))


# ---- benchmarks.accelerator


@pytest.mark.slow
def test_all_of_it_runs(tmp_path, capsys):
    """In small, on what there is, and every value is the CPU's."""
    path = tmp_path / "measured.json"
    assert accelerator.main(["--tiny", "--repetitions=2", f"--json={path}", "--seconds=3000"]) == 0
    names = [case["name"] for group in json.loads(path.read_text())["groups"] for case in group["cases"]]
    wanted = [f"update {config}, {products}" for config in accelerator.SOURCES for products in accelerator.PRODUCTS]
    assert names[: len(wanted)] == wanted
    assert "attention T=16, chunked float32" in names
    assert names[-2:] == ["2 members of listops, map", "2 members of listops, vmap"]
    printed = capsys.readouterr().out
    assert "attention T=16, cudnn bfloat16: left out, kernel=cudnn: it is of NVIDIA GPUs, and this is for cpu" in printed
    assert printed.count("update listops, bfloat16") == 2  # as it comes, and in the one table


def test_what_there_is_no_time_for_is_named(capsys):
    assert accelerator.main(["--tiny", "--seconds=0"]) == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith("not all of")] == [
        f"not all of: {what} (0 s were over)" for what in ("updates", "attention by length", "members")
    ]


@pytest.mark.parametrize(("off", "code"), [(0.0, 0), (1e-2, 1), (float("nan"), 1)])
def test_a_wrong_value_is_said(off, code, monkeypatch, capsys):
    facts = {"temporary_mib": None, "difference": off, "allowed": 1e-4}
    monkeypatch.setattr(accelerator, "updates", lambda device, tiny: iter([[_runner.Case("sums", int, facts=facts)]]))
    for others in ("by_length", "members"):
        monkeypatch.setattr(accelerator, others, lambda device, tiny: iter(()))
    assert accelerator.main(["--tiny", "--repetitions=2"]) == code
    printed = capsys.readouterr().out
    assert ("not what the CPU gives: sums" in printed) == ("TOO LARGE" in printed) == bool(code)


def test_a_cpu_is_not_measured_as_an_accelerator(capsys):
    with pytest.raises(SystemExit, match="2"):
        accelerator.main([])
    assert "error: JAX has no GPU or TPU here" in capsys.readouterr().err


def test_differences_are_of_the_largest_number():
    found, wanted = (np.array([1.0, 99.0]), np.array([0.5])), (np.array([2.0, 100.0]), np.array([1.0]))
    assert accelerator._largest(found, wanted) == 0.5


# ---- benchmarks.compile_for_accelerators


def test_the_least_time_is_that_of_what_holds_back():
    device = computed.DEVICES["h200"]
    assert computed.least_seconds(ROW, device, "float32") == (1e-3, "float32")
    assert computed.least_seconds(ROW, device, "TF32") == (0.5e-3, "memory")


def test_what_libraries_read_and_write_is_counted():
    """Two operands and a result, and not the memory that a library works in."""
    program = """
  %p.1 = f32[8,16]{1,0} parameter(0)
  %fusion = bf16[16,4]{1,0} fusion(%p.1), kind=kLoop, calls=%f
  %call = (f32[8,4]{1,0}, s8[4194304]{0}) custom-call(%p.1, %fusion), custom_call_target="__cublas$lt$matmul"
  ROOT %mask = pred[3]{0} custom-call(%p.1), custom_call_target="x"
"""
    assert computed.library_bytes(program) == [8 * 16 * 4 + 16 * 4 * 2 + 8 * 4 * 4, 3 + 8 * 16 * 4]


def test_operands_are_found_in_a_compiled_program():
    """The text of this jaxlib is read as the pattern wants it: names, types and operands of every instruction."""
    shape = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    text = jit(lambda a, b: jnp.linalg.qr(a @ b)[0]).lower(shape, shape).compile().as_text()
    calls = computed.library_bytes(text)
    assert len(calls) == text.count(" custom-call(") > 0
    assert all(size > 0 for size in calls)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(computed, "RESULTS", tmp_path / "results" / "accelerators.json")
    return computed.RESULTS


def test_a_compiler_that_is_not_installed_is_one_line(results, monkeypatch, capsys):
    def describe():
        raise NotImplementedError("topology not implemented for cuda")

    monkeypatch.setitem(computed.DEVICES, "h200", computed.DEVICES["h200"]._replace(describe=describe))
    with pytest.raises(SystemExit, match="2"):
        computed.main(["--device=h200", "--config=smoke"])
    said = capsys.readouterr().err
    assert said == "error: JAX has no compiler for H200 here, see --help: topology not implemented for cuda\n"
    assert not results.exists()


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--members=1,x", "--members wants numbers of 1 or more between commas, got 1,x"),
        ("--members=0", "--members wants numbers of 1 or more"),
        ("--config=smok", "--config=smok is none of them (nearest: 'smoke')"),
    ],
)
def test_what_cannot_be_compiled_is_said(results, argument, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        computed.main(["--device=h200", argument])
    assert f"error: {said}" in capsys.readouterr().err
    assert not results.exists()


def test_what_is_compiled_is_not_compiled_again(results, monkeypatch, capsys):
    """It is kept as it comes, sorted, and a config whose data are not here is named and passed over."""
    done = []

    def experiment(name, members):
        if name == "trec6":
            raise ValueError("trec6 is not here\nwhatever")
        return name, members

    monkeypatch.setattr(computed, "experiment", experiment)
    monkeypatch.setattr(computed, "compiled", lambda made, device, topology: done.append(made) or {**ROW, "git_commit": "x"})
    monkeypatch.setitem(computed.DEVICES, "h200", computed.DEVICES["h200"]._replace(describe=lambda: None))
    arguments = ["--device=h200", "--config=smoke", "--config=trec6", "--config=listops", "--members=8,1"]
    computed.main(arguments)
    assert done == [("smoke", 8), ("smoke", 1), ("listops", 8), ("listops", 1)]
    assert "h200 trec6 8: trec6 is not here\n" in capsys.readouterr().out
    assert list(json.loads(results.read_text())["rows"]) == [
        f"h200 {name} {members}" for name in ("listops", "smoke") for members in (1, 8)
    ]
    computed.main(arguments)
    assert len(done) == 4
    computed.main([*arguments, "--again"])
    assert len(done) == 8


def test_tables(results):
    results.parent.mkdir()
    rows = {"h200 smoke 8": ROW, "v5e smoke 8": {**ROW, "work_bytes": None, "loops": True, "compute_dtype": "bfloat16"}}
    results.write_text(json.dumps({"rows": rows}))
    lines = computed.tables().splitlines()
    assert lines[0] == "### H200: computed, not measured"
    assert "| `smoke` | 8 | 64 × 24 | 3.00 | 0.500 | 67.0 | 2.40 | 1.00 (float32) | 0.500 (memory) |" in lines
    assert "| `smoke` | 8 | 64 × 24 | 3.00 | not told | 67.0 | 2.40 | ≥ 2.93 (memory) | ≥ 2.93 (memory) |" in lines


def test_the_page_has_the_tables_of_the_results():
    text = computed.PAGE.read_text(encoding="utf-8")
    assert computed.page(text) == text


def test_configs_are_those_of_runs_and_sweeps(monkeypatch):
    """A sweep is its first variant; data are those of the line `Offline:`, where they may lie."""
    seen = []
    monkeypatch.setattr(computed, "_experiment", lambda config, members: seen.append((config, members)))
    monkeypatch.setenv("ATTENTION_DATA_DIR", "/data")
    for name in computed.names():
        computed.experiment(name, 8)
    assert len(seen) == len(computed.names()) > 20
    found = dict(zip(computed.names(), seen))
    assert found["sweeps/normalizers"][0].model.normalizer == "softmax"
    assert found["trec6"][0].data.source == "trec6(path='$ATTENTION_DATA_DIR/trec6')"

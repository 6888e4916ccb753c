"""Flags and configs: what is given arrives with its type, and what cannot be used is one line and exit code 2."""

import errno
import subprocess
import sys

import pytest
from absl import flags
from ml_collections import config_dict

from attention import files
from attention.training import command_line, config_files

CONFIG = """
from ml_collections import config_dict

def get_config():
    config = config_dict.ConfigDict()
    config.data = config_dict.ConfigDict({"source": "listops", "max_length": 64})
    config.training = config_dict.ConfigDict({"learning_rate": 1e-3, "steps": 10, "ema": False})
    config.seeds = (0,)
    return config
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(CONFIG)
    return path


def parse(file, *arguments):
    return command_line.parse_config(["train.py", *arguments], default=file)


def test_defaults_and_leftovers(file):
    given = parse(file, "--workdir=x", "stray", "--configs=1")
    assert given.name == "toy"
    assert given.argv == ["train.py", "--workdir=x", "stray", "--configs=1"]
    assert given.fields.to_dict() == {
        "data": {"source": "listops", "max_length": 64},
        "training": {"learning_rate": 1e-3, "steps": 10, "ema": False},
        "seeds": (0,),
    }


@pytest.mark.parametrize("form", [["--config={}"], ["--config", "{}"], ["-config={}"]])
def test_another_file(file, tmp_path, form):
    other = tmp_path / "other.py"
    other.write_text(CONFIG.replace("1e-3", "5"))
    given = parse(file, *(part.format(other) for part in form))
    assert (given.name, given.argv, given.fields.training.learning_rate) == ("other", ["train.py"], 5)


@pytest.mark.parametrize(
    ("argument", "field", "value"),
    [
        ("--config.training.steps=20", "training.steps", 20),
        ("--config.training.learning_rate=1e-4", "training.learning_rate", 1e-4),
        ("--config.training.learning_rate=1", "training.learning_rate", 1.0),
        ("--config.training.ema", "training.ema", True),
        ("--config.training.ema=TRUE", "training.ema", True),
        ("--noconfig.training.ema", "training.ema", False),
        ("--config.data.source=files(train='a=b.tsv')", "data.source", "files(train='a=b.tsv')"),
        ("--config.data.source=None", "data.source", "None"),
        ("--config.seeds=0,1,2", "seeds", (0, 1, 2)),
        ("--config.seeds=(4, 5)", "seeds", (4, 5)),
        ("--config.seeds=7", "seeds", (7,)),
    ],
)
def test_overrides_have_the_type_of_the_field(file, argument, field, value):
    got = parse(file, "--config.training.ema=true" if argument.startswith("--no") else argument, argument).fields
    for part in field.split("."):
        got = got[part]
    assert got == value
    assert type(got) is type(value)


def test_the_last_override_wins_whatever_the_order_of_the_file(file):
    given = parse(file, "--config.training.steps=1", f"--config={file}", "--config.training.steps=2")
    assert given.fields.training.steps == 2


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.training.stepps=1", r"unknown config field 'training.stepps' \(nearest: 'training.steps'\)"),
        ("--config.learning_rate=1", r"unknown config field 'learning_rate' \(nearest: 'training.learning_rate'\)"),
        ("--config.xyz=1", "unknown config field 'xyz'; fields: data.max_length, data.source"),
        ("--config.data.source.x=1", "unknown config field 'data.source.x'"),
        ("--config.=1", "unknown config field ''"),
        ("--config.to_dict=1", "unknown config field 'to_dict'"),
        ("--config.training=1", "is a section; its fields: training.ema, training.learning_rate"),
        ("--config.training.steps=1.5", "'training.steps' wants a whole number .as in 10., got '1.5'"),
        ("--config.training.steps=", "wants a whole number"),
        ("--config.training.steps", "wants a value: --config.training.steps=VALUE"),
        ("--config.training.learning_rate=fast", "wants a number .as in 0.001., got 'fast'"),
        ("--config.training.learning_rate=nan", "wants a finite number"),
        ("--config.training.ema=maybe", "wants true or false"),
        ("--noconfig.training.ema=1", "takes no value"),
        ("--config.seeds=a,b", "wants values separated by commas, each a whole number"),
        ("--config.seeds=1.5", "each a whole number"),
        ("--config", "wants a config"),
        ("--config=", "wants a config"),
        ("--config=absent.py", "config file absent.py does not exist"),
        ("--config={folder}/to.py", "to.py does not exist .nearest: .*/toy.py"),
        ("--config={folder}", "is no Python file"),
    ],
)
def test_bad_config_arguments(file, argument, message):
    with pytest.raises(ValueError, match=message):
        parse(file, argument.format(folder=file.parent))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(:", r"bad.py, line 1: invalid syntax"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("x = 1", "has no function get_config"),
        ("def get_config(): return {}", "wants to return a ConfigDict, got dict"),
    ],
)
def test_bad_config_files(file, text, message):
    bad = file.parent / "bad.py"
    bad.write_text(text)
    with pytest.raises(ValueError, match=message):
        parse(file, f"--config={bad}")


def test_a_file_that_is_no_python(file):
    (file.parent / "toy.txt").write_text(CONFIG)
    with pytest.raises(ValueError, match="is no Python file"):
        parse(file, f"--config={file.parent}/toy.txt")


def toy_flags():
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "Where.", flag_values=values)
    flags.DEFINE_integer("count", 1, "How many.", lower_bound=0, flag_values=values)
    return values


def run(capsys, *arguments):
    got = {}

    def main(argv):
        values = toy_flags()
        command_line.parse_flags(argv, values, usage="What it is.")
        got.update(workdir=values.workdir, count=values.count)

    code = command_line.run_main(main, ["toy.py", *arguments])
    return code, got, *capsys.readouterr()


CONFIGURED = config_dict.ConfigDict({"seeds": (0,), "model": {"encoding": "none", "dim": 8}, "data": {"source": "listops"}})


@pytest.mark.parametrize(
    ("argument", "near"),
    [
        ("--confg=x", "config"),
        ("--conf=x", "config"),
        ("--wrkdir=x", "workdir"),
        ("--confg.model.encoding=rope", "config.model.encoding"),
        ("--configs.model.encodng=rope", "config.model.encoding"),
        ("--model.encoding=rope", "config.model.encoding"),
        ("--encoding=rope", "config.model.encoding"),
        ("--seeds=1", "config.seeds"),
        ("--noconfg.model.dim", "config.model.dim"),
    ],
)
def test_an_unknown_flag_may_be_of_the_config(argument, near):
    with pytest.raises(ValueError, match=rf"nearest: '{near}'\); flags: --config, --config.FIELD, --count, --workdir"):
        command_line.parse_flags(["toy.py", argument], toy_flags(), usage="", config=CONFIGURED)


def test_a_switch_and_a_dash_that_is_none_are_named():
    values = toy_flags()
    flags.DEFINE_boolean("dry", False, "", flag_values=values)
    with pytest.raises(ValueError, match=r"^--dry is a switch, --dry or --nodry, got 'x'$"):
        command_line.parse_flags(["toy.py", "--dry=x"], values, usage="")
    with pytest.raises(ValueError, match=r"stray argument '—count=1'.*two hyphens: --count=1"):
        command_line.parse_flags(["toy.py", "—count=1"], toy_flags(), usage="")


def test_flags(capsys):
    assert run(capsys, "--workdir=a", "--count", "3") == (0, {"workdir": "a", "count": 3}, "", "")
    code, got, out, err = run(capsys, "--wrkdir=a")
    assert (code, got, out) == (2, {}, "")
    assert err == "error: unknown flag --wrkdir (nearest: 'workdir'); flags: --count, --workdir\n"
    for arguments, message in (
        (["--count=x"], "--count=x"),
        (["--count=-1"], "-1 is not a non-negative integer"),
        (["--workdir"], "workdir"),
        (["a.tsv"], "stray argument 'a.tsv'"),
    ):
        code, _, _, err = run(capsys, *arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        run(capsys, "--help")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("What it is.\n")
    assert "--workdir: Where." in out


def raising(error):
    def main(argv):
        raise error

    return main


def test_exit_codes(capsys, monkeypatch):
    assert command_line.run_main(lambda argv: None, ["x"]) == 0
    assert command_line.run_main(raising(ValueError("two\n  lines")), ["x"]) == 2
    assert capsys.readouterr().err == "error: two lines\n"
    assert command_line.run_main(raising(FileNotFoundError(2, "No such file", "a.tsv")), ["x"]) == 2
    assert capsys.readouterr().err == "error: a.tsv: No such file\n"
    for passing in (errno.ENOSPC, errno.EIO, errno.ESTALE):
        assert command_line.run_main(raising(OSError(passing, "it passes")), ["x"]) == 75
        assert capsys.readouterr().err == "error: the system: it passes\n"
    assert command_line.run_main(raising(files.TryAgainError("in use")), ["x"]) == 75
    assert capsys.readouterr().err == "error: in use\n"
    assert command_line.run_main(raising(KeyboardInterrupt()), ["x"]) == 130
    for defect in (TypeError("x"), OSError(errno.EINVAL, "Invalid argument"), ZeroDivisionError()):
        with pytest.raises(type(defect)):
            command_line.run_main(raising(defect), ["x"])
    monkeypatch.setenv(command_line.TRACEBACK, "1")
    with pytest.raises(ValueError, match="shown"):
        command_line.run_main(raising(ValueError("shown")), ["x"])


DROPPED = """
import gc, os, signal, sys, time
from attention.training import command_line

def callback(phase, info):
    gc.callbacks.remove(callback)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)

def main(argv):
    gc.callbacks.append(callback)
    gc.collect()
    time.sleep(60)

sys.exit(command_line.run_main(main))
"""


def test_an_interrupt_within_the_garbage_collector_is_heard():
    done = subprocess.run([sys.executable, "-c", DROPPED], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


CACHED = """
import jax
from attention.training import backend
backend.prepare()
print(jax.config.jax_compilation_cache_dir)
jax.jit(lambda x: x * 3 + 1)(2.0).block_until_ready()
"""


def test_small_programs_are_kept(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", CACHED], capture_output=True, text=True, check=True)
    folder = tmp_path / "attention-lab" / "compilation"
    assert done.stdout.strip() == str(folder)
    assert any(folder.iterdir())
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "own"))
    done = subprocess.run([sys.executable, "-c", CACHED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "own")
    assert any((tmp_path / "own").iterdir())


def test_a_config_dict_is_what_configs_are(file):
    assert isinstance(config_files.base_config(file), config_dict.ConfigDict)


def test_a_tilde_after_the_equals_sign_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    given = [
        "x.py",
        "--workdir=~/runs",
        "--out=~",
        "--config.model.vectors=~/v.txt",
        "--text=~/x",
        "--text=~5 stars",
        "~/stray",
        "--text=a=~/b",
    ]
    seen = []
    assert command_line.run_main(seen.extend, given) == 0
    assert seen == ["x.py", "--workdir=/home/me/runs", "--out=/home/me", "--config.model.vectors=/home/me/v.txt", *given[4:]]


def test_messages_are_short_and_plain(capsys):
    def fail(argv):
        raise ValueError("begin \x1b[31m\r\n" + "x" * 10**6 + " end")

    assert command_line.run_main(fail, ["x.py"]) == 2
    err = capsys.readouterr().err
    assert len(err) < 520
    assert err.strip().isprintable()
    assert err.endswith(" end\n")


def test_flag_files(file, tmp_path, capsys):
    inner, outer = tmp_path / "inner.txt", tmp_path / "outer.txt"
    inner.write_text("# a comment\n// another\n\n--config.training.steps=7\n--workdir=é\n", encoding="utf-8-sig")
    outer.write_text(f"--config={file}\n--flagfile={inner}\n")
    for form in ([f"--flagfile={outer}"], ["--flagfile", str(outer)], ["--x=1", f"-flagfile={outer}"]):
        seen = []
        assert command_line.run_main(seen.extend, ["train.py", *form, "--last"]) == 0
        assert seen[-4:] == [f"--config={file}", "--config.training.steps=7", "--workdir=é", "--last"]
    inner.write_text(f"--flagfile={outer}\n")
    (tmp_path / "bytes").write_bytes(b"\xff")
    for path, message in (
        (outer, "is read by itself"),
        ("none", "No such file"),
        (tmp_path / "bytes", "no text in UTF-8"),
        ("", "wants a file: --flagfile=FILE"),
    ):
        assert command_line.run_main(print, ["train.py", f"--flagfile={path}"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: --flagfile")
        assert message in error


@pytest.mark.parametrize("flag", ["--pdb", "--only_check_args", "--verbosity=1", "-v=1", "--run_with_profiling", "--log_dir=x"])
def test_flags_of_absl_app_are_refused_by_name(capsys, flag):
    code, _, _, err = run(capsys, flag)
    assert (code, err.count("\n")) == (2, 1)
    assert f"--{flag.lstrip('-').split('=')[0]} is a flag of absl.app, which these commands do without; " in err


@pytest.mark.parametrize("flag", ["--help", "-h", "-?", "--helpshort", "--helpfull", "--help=1", "--helpxml"])
def test_every_form_of_help(capsys, flag):
    with pytest.raises(SystemExit) as stop:
        run(capsys, flag)
    assert stop.value.code == 0
    assert "workdir" in capsys.readouterr().out


def test_unknown_flags_that_are_to_be_left_out(capsys):
    assert run(capsys, "--undefok=other", "--other=1", "--count=2")[:2] == (0, {"workdir": None, "count": 2})


FIELDS = """
from ml_collections import config_dict

def get_config(size):
    config = config_dict.ConfigDict({"placed": config_dict.placeholder(int), "unknown": None, "names": ["a", "b"]})
    config.needed = config_dict.required_placeholder(float)
    config.size = int(size)
    config.twice = config.get_ref("size") * 2
    config.inner = config_dict.ConfigDict({"deep": config_dict.ConfigDict({"x": 1})})
    return config
"""


def test_what_ml_collections_documents(tmp_path):
    path = tmp_path / "fields.py"
    path.write_text(FIELDS)
    given = parse(path, f"--config={path}:8", "--config.needed=1", "--config.names=c,d", "--config.inner.deep.x=4")
    assert given.name == "fields"
    assert (given.fields.size, given.fields.twice, given.fields.placed) == (8, 16, None)
    assert (given.fields.needed, given.fields.names, given.fields.inner.deep.x) == (1.0, ["c", "d"], 4)
    given = parse(path, f"--config={path}:8", "--config.needed=1", "--config.size=3", "--config.placed=5")
    assert (given.fields.twice, given.fields.placed) == (6, 5)
    for arguments, message in (
        ([f"--config={path}"], "wants an argument: --config=FILE:ARGUMENT"),
        ([f"--config={path}:x"], "fields.py, line 7: invalid literal for int"),
        ([f"--config={path}:8"], "wants a value for 'needed': --config.needed=VALUE"),
        ([f"--config={path}:8", "--config.needed=x"], "'needed' wants a number, got 'x'"),
        ([f"--config={path}:8", "--config.placed=x"], "'placed' wants a whole number, got 'x'"),
        (
            [f"--config={path}:8", "--config.unknown=x"],
            "'unknown' wants a type, which the file says with config_dict.placeholder",
        ),
        ([f"--config={path}:8", "--config.inner.deep=1"], "'inner.deep' is a section; its fields: inner.deep.x"),
    ):
        with pytest.raises(ValueError, match=message):
            parse(path, *arguments)


def test_a_file_that_takes_no_argument(file):
    with pytest.raises(ValueError, match=r"wants no argument: --config=FILE"):
        parse(file, f"--config={file}:8")


def test_an_error_in_a_config_file_names_its_line(file):
    bad = file.parent / "bad.py"
    bad.write_text("def get_config():\n    return {}['steps']\n")
    with pytest.raises(ValueError, match=r"bad.py, line 2: KeyError: 'steps'"):
        parse(file, f"--config={bad}")

"""The rival of a run: beside its members in training and evaluation, never at the cost of its result, and fitted later."""

import builtins
import json
import re
import shutil

import numpy as np
import pytest

from attention import specs
from attention.data import tables
from attention.evaluation import load, report
from attention.files import packed
from attention.runs import json_files
from attention.runs.directory import RunDirectory
from attention.training import config, loop, result, rivals
from attention.training.loop import recipe
from tests.support import toy


def train(source, where, rival="auto", **options):
    return loop.train(config.from_dict({**toy.fields(source), "rival": rival, "seeds": (0, 1)}), where, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("rivals")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    train(toy.write_data(folder), folder / "run")
    yield RunDirectory(folder / "run")
    patch.undo()


@pytest.fixture
def copied(run, tmp_path, monkeypatch):
    """A copy, with no fit in the cache."""
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    return RunDirectory(shutil.copytree(run.path, tmp_path / "run"))


def source_of(run):
    return run.read_data().source


def test_it_stands_beside_the_members(run):
    stored = run.read_result()
    rival, predictions = stored["rival"], run.read_rival_predictions()
    assert (rival["spec"], rival["texts"], rival["failed"], rival["note"]) == ("linear", 50, False, None)
    assert rival["facts"]["converged"] is True
    assert set(rival["splits"]) == {"validation", "test"}
    assert rival["splits"]["test"]["accuracy"] == pytest.approx(predictions["correct"].mean())
    assert predictions["correct"].shape == (30,)
    assert set(predictions) == set(run.read_predictions())
    line = next(line for line in result.table(stored).splitlines() if line.startswith("rival "))
    test, validation = (100 * rival["splits"][name]["accuracy"] for name in ("test", "validation"))
    assert line.startswith(f"rival linear: {test:.2f} (F1 {100 * rival['splits']['test']['macro_f1']:.2f}, nll ")
    assert f"); {validation:.2f} on validation" in line


@pytest.mark.parametrize("better", [True, False])
def test_whether_a_member_is_better_is_said(run, better):
    stored = run.read_result()
    stored["rival"]["splits"]["test"]["accuracy"] = max(one["test"]["accuracy"] for one in stored["members"]) - 0.01 * better
    assert ("no member is better than the rival linear" in result.table(stored)) != better


def test_evaluation_has_its_very_numbers(run):
    """In a new object, from the arrays of the run, of a split of the run and of a file."""
    trained, stored = load(str(run.path)), run.read_result()["rival"]["splits"]
    for name in ("validation", "test"):
        assert trained.rival(trained.examples(name)).scores == stored[name]
    folder = run.path.parent
    examples, _ = trained.read_files(folder / "test.tsv")
    assert trained.rival(examples).scores == stored["test"]
    accuracy = rf"rival linear +{100 * stored['test']['accuracy']:.2f} %"
    for said in (report.report(str(run.path)), report.report(str(run.path), data=str(folder / "test.tsv"))):
        assert re.search(accuracy, said)


def test_a_file_of_some_texts_has_those_of_its_texts(run, tmp_path):
    trained = load(str(run.path))
    found = tables.read(run.path.parent / "test.tsv", text="text", label="label")
    (tmp_path / "some.tsv").write_text("text\tlabel\n" + "".join(f"{a}\t{b}\n" for a, b in zip(found.texts[:7], found.labels)))
    examples, _ = trained.read_files(tmp_path / "some.tsv")
    assert trained.rival(examples).scores["accuracy"] == run.read_rival_predictions()["correct"][:7].mean()


@pytest.mark.parametrize("rival", ["none", "linear(texts=49)"])
def test_a_run_may_have_none(run, tmp_path, rival, capsys):
    stored = train(source_of(run), tmp_path / "run", rival)
    assert stored["members"] == run.read_result()["members"]
    assert not (tmp_path / "run" / "rival.npz").exists()
    said = capsys.readouterr().out
    assert load(str(tmp_path / "run")).rival(None) is None
    evaluated = report.report(str(tmp_path / "run"))
    if rival == "none":
        assert "rival" not in said
        assert "the rival" not in evaluated
    else:
        why = "left out: train has 50 texts, and it takes 49 unless its option texts says more"
        assert f"rival linear(texts=49): {why}" in said
        assert f"note: the rival linear(texts=49) is {why}" in evaluated


def test_trials_of_a_search_have_none(run, tmp_path):
    assert "rival" not in train(source_of(run), tmp_path / "run", test=False)
    assert "rival" not in train(source_of(run), tmp_path / "run", test=False)  # finished


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("two\nlines"), OSError(28, "No space left on device")])
def test_whatever_goes_wrong_the_result_is_there(copied, monkeypatch, capsys, error):
    def fail(*_):
        raise error

    wanted = "linear(pairs=False)"
    with monkeypatch.context() as patch:
        patch.setattr(rivals, "_fitted", fail)
        stored = train(source_of(copied), copied.path, wanted)
    assert stored["rival"] == {"spec": wanted, "splits": {}, "failed": True, "note": stored["rival"]["note"]}
    assert f"rival {wanted}: left out: {stored['rival']['note']}\n" in capsys.readouterr().out
    again = train(source_of(copied), copied.path, wanted)
    assert again["rival"]["failed"] is False  # asked again, it is tried again
    assert again["members"] == stored["members"]


def test_a_kill_while_it_is_fitted_costs_the_fit_alone(run, tmp_path, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("_fitted", "_kept"):
        with monkeypatch.context() as patch:
            patch.setattr(rivals, name, die)
            with pytest.raises(KeyboardInterrupt):
                train(source_of(run), tmp_path / "run")
        assert RunDirectory(tmp_path / "run").read_result()["members"] == run.read_result()["members"]
        said = report.report(str(tmp_path / "run"))
        assert "note: the rival linear is not fitted; train.py with the flags of the run fits it" in said
    assert train(source_of(run), tmp_path / "run")["rival"]["splits"] == run.read_result()["rival"]["splits"]


def test_a_finished_run_gets_the_one_that_it_is_asked_for(copied, capsys):
    before = copied.read_result()
    smaller = train(source_of(copied), copied.path, "linear(pairs=False)")
    assert smaller["rival"]["spec"] == "linear(pairs=False)"
    assert {**smaller, "rival": None} == {**before, "rival": None}
    assert config.from_dict(copied.read_config()).rival == "linear(pairs=False)"
    assert load(str(copied.path)).rival(load(str(copied.path)).examples("test")).scores == smaller["rival"]["splits"]["test"]
    capsys.readouterr()
    assert train(source_of(copied), copied.path, "none") == smaller  # it stays, and is shown
    assert "rival linear(pairs=False): " in capsys.readouterr().out


def test_a_run_of_before_there_were_rivals(copied, monkeypatch, capsys):
    """It evaluates; asked again it gets one, where its data are there."""
    stored, fields = copied.read_result(), copied.read_config()
    del stored["rival"], fields["rival"]
    copied.write_config(fields)
    copied.write_result(stored)
    for path in (copied.rival, copied.rival_predictions):
        path.unlink()
    assert load(str(copied.path)).rival(None) is None
    assert "\nrival" not in report.report(str(copied.path))

    def gone(*_):
        raise ValueError("the data are gone")

    source = source_of(copied)
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "load_data", gone)
        assert train(source, copied.path)["members"] == stored["members"]
    assert "rival linear: left out: the data are gone" in capsys.readouterr().out
    assert set(train(source, copied.path)["rival"]["splits"]) == {"validation", "test"}


def test_it_makes_no_other_run(run):
    settings = [config.from_dict({**toy.fields(source_of(run)), "rival": rival}) for rival in ("none", "auto")]
    assert config.words(settings[0]) == config.words(settings[1])
    assert "rival" not in run.read_identity()[0].config
    assert run.read_result()["config_hash"] == rivals.json_hash(config.words(config.from_dict(run.read_config())))


@pytest.mark.parametrize("name", ["rival.npz", "rival_predictions.npz"])
def test_a_flipped_bit_is_one_line(copied, name):
    path = copied.path / name
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(ValueError, match=rf"{name} is damaged: it does not have the hash"):
        copied.read_rival() if name == "rival.npz" else copied.read_rival_predictions()
    if name == "rival.npz":
        assert _left_out(copied).endswith("rival.npz is damaged: it does not have the hash it was written with")


def _left_out(run):
    """Why evaluation leaves the rival out; the members have their scores all the same."""
    said = report.report(str(run.path))
    assert "rival linear" not in said
    assert "\nseed 1 " in said
    (line,) = (line for line in said.splitlines() if line.startswith("note: the rival is left out: "))
    return line


def test_arrays_of_somebody_else_are_one_line(copied):
    learned = copied.read_rival()
    damages = [{}, {**learned, "columns": learned["columns"] + 2**20}, {**learned, "rarity": 0 * learned["rarity"]}]
    damages += [{**learned, "weights": learned["weights"].astype(np.complex64)}, {**learned, "strength": np.array(np.nan)}]
    for damaged in damages:
        copied.rival.write_bytes(packed(damaged))
        copied.write_result(copied.read_result())
        assert _left_out(copied).endswith("rival.npz: its arrays are not what fitting makes of 3 classes")


def test_the_classes_are_those_of_the_run(copied):
    """Whatever the file says that there are: no memory is taken for them."""
    wanted = load(str(copied.path)).rival(load(str(copied.path)).examples("test")).scores
    copied.rival.write_bytes(packed({**copied.read_rival(), "classes": np.array(2**24)}))
    copied.write_result(copied.read_result())
    assert load(str(copied.path)).rival(load(str(copied.path)).examples("test")).scores == wanted


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("linear", "is not what training writes: rival is 'linear'"),
        ({"spec": 5, "splits": {}, "failed": False}, "is not what training writes: rival is"),
        ({"spec": "none", "splits": {"test": {}}, "failed": False}, "none answers nothing"),
        ({"spec": "linea", "splits": {"test": {}}, "failed": False}, r"unknown rival 'linea' \(nearest: 'linear'\)"),
    ],
)
def test_a_result_of_somebody_else_is_one_line(copied, damage, message):
    stored = json_files.read(copied.result)
    json_files.write(copied.result, {**stored, "rival": damage})
    assert re.search(message, _left_out(copied))


def test_without_scikit_learn(run, copied, monkeypatch, capsys):
    """Training and evaluation say which extra has it, and go on."""
    plain = builtins.__import__

    def missing(name, *given):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return plain(name, *given)

    monkeypatch.setattr(builtins, "__import__", missing)
    wanted = "scikit-learn is missing: pip install 'attention-lab[train]'"
    assert f"note: the rival is left out: {wanted}" in report.report(str(copied.path))
    assert train(source_of(copied), copied.path, "linear(pairs=False)")["rival"]["note"] == wanted


def test_the_cache_is_of_the_content(run, tmp_path, monkeypatch, capsys):
    """The same data in another place are fitted no more; other data are."""
    folder = run.path.parent
    for name in ("train", "validation", "test"):
        shutil.copy(folder / f"{name}.tsv", tmp_path)
    moved = f"files(train='{tmp_path}/train.tsv', validation='{tmp_path}/validation.tsv', test='{tmp_path}/test.tsv')"
    stored = train(moved, tmp_path / "run")
    assert "taken from the cache" in capsys.readouterr().out
    assert stored["rival"] == {**run.read_result()["rival"], "seconds": None}
    assert (tmp_path / "run" / "rival.npz").read_bytes() == run.rival.read_bytes()
    toy.write_split(tmp_path / "validation.tsv", 31, 7)
    train(moved, tmp_path / "other")
    assert "fitted in" in capsys.readouterr().out
    assert json.dumps(stored["rival"])
    assert specs.build("rival", stored["rival"]["spec"]).fit is not None

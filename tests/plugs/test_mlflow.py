"""MLflow with a database and with a server, read back with its client."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import mlflow
import pytest

from attention.training import following
from tests.support import toy
from tests.support.trackers import assert_shown, points, seconds, train, train_in_pieces

pytestmark = [pytest.mark.plug, pytest.mark.filterwarnings("ignore")]  # of MLflow, in the process that reads


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return toy.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('database')}/runs.db"


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    """A server of the same database, for as long as the tests of this file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--port", str(port), "--workers", "1"]
    with open(tmp_path_factory.mktemp("server") / "log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(log.name).parent)
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
    while not _answers(address):
        assert process.poll() is None, Path(log.name).read_text()
        assert time.monotonic() < end
        time.sleep(0.5)
    yield address
    process.terminate()
    process.wait(30)


def _answers(address):
    try:
        urllib.request.urlopen(f"{address}/health", timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def run(source, database, tmp_path_factory):
    return train(source, tmp_path_factory.mktemp("runs") / "mine", f"mlflow(uri='{database}', experiment='ours')")


def read(uri, run, experiment="ours"):
    """The client, and the runs of the members in order."""
    client = mlflow.MlflowClient(tracking_uri=uri)
    identity = client.get_experiment_by_name(experiment).experiment_id
    found = client.search_runs([identity], f"tags.`attention_lab.group` = '{run.path.name}'", order_by=["attributes.run_name"])
    return client, found


def assert_all_shown(uri, run, experiment="ours"):
    client, found = read(uri, run, experiment)
    assert [each.info.run_name for each in found] == [f"{run.path.name}-seed{seed}" for seed in (0, 1)]
    for number, each in enumerate(found):
        shown = {name: client.get_metric_history(each.info.run_id, name) for name in each.data.metrics}
        assert_shown({name: [(one.step, one.value) for one in row] for name, row in shown.items()}, points(run, number))
        assert each.info.status == "FINISHED"


def test_every_point_is_there(run, database):
    assert_all_shown(database, run)


def test_config_environment_verdict_and_times_are_there(run, database):
    client, (_, second) = read(database, run)
    assert second.data.params["seed"] == "1"
    assert second.data.params["model.encoder"] == "embeddings"
    assert second.data.tags["environment.cores"] == str(run.read_environment()["cores"])
    assert "than the baseline majority (" in second.data.tags["verdict"]
    times = [one.timestamp - second.info.start_time for one in client.get_metric_history(second.info.run_id, "train/loss")]
    wanted = [1000 * each for _, each in points(run)["train/seconds"]]
    assert times == pytest.approx(wanted, abs=1)
    assert max(seconds(run)) * 1000 == pytest.approx(max(wanted))


def test_told_again_and_by_another_way_it_is_the_same(run, database, server, capsys):
    for uri in (database, server):
        assert following.catch_up(f"mlflow(uri='{uri}', experiment='ours')", run.path) == 0
    assert_all_shown(server, run)


def test_a_renamed_run_is_called_as_it_is_there(run, database, tmp_path, capsys):
    renamed = shutil.copytree(run.path, tmp_path / "other")
    assert following.catch_up(f"mlflow(uri='{database}', experiment='ours')", renamed) == 0
    assert capsys.readouterr().out.endswith("experiment ours, run mine-seed0 and 1 more\n")


def test_kills_leave_no_gap_and_no_double(source, server, tmp_path):
    killed = train_in_pieces(source, tmp_path / "killed", f"mlflow(uri='{server}', experiment='killed')", (12, 24))
    assert_all_shown(server, killed, "killed")


def test_a_server_that_is_not_there_costs_a_line(source, server, tmp_path, capsys):
    spec = "mlflow(uri='http://nowhere.invalid')"
    run = train(source, tmp_path / "run", spec)
    assert run.finished
    assert f'--track="{spec}" shows it later' in capsys.readouterr().out
    assert following.catch_up(f"mlflow(uri='{server}', experiment='late')", run.path) == 0
    assert_all_shown(server, run, "late")

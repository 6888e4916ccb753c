"""MLflow, at any tracking URI: a server, a database, Databricks.

A member is a run of the experiment, found again by the tag ``attention_lab.id``. Its metrics have the times of the run, so that
it looks the same whenever it is tracked; what stands there already is asked, and not sent again. The config are its parameters,
the environment and the verdict its tags.

Source: https://mlflow.org/docs/latest/ml/tracking
"""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from attention.runs.trackers import Ending, Member, Row, Session, Tracker

__all__: list[str] = []

_ID, _GROUP = "attention_lab.id", "attention_lab.group"
_LONGEST = 500  # characters of a value, which every store takes
_AT_ONCE = 100  # parameters or metrics in one request
# A server that does not answer is given up in time; what the user has set wins.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


def build(*, uri: str = "", experiment: str = "attention-lab") -> Tracker:
    """A run of MLflow for each member.

    Args:
      uri: of the server or store, as ``http://localhost:5000`` or ``sqlite:///runs.db``; by default MLFLOW_TRACKING_URI.
      experiment: its name; made where missing.
    """
    return Tracker(functools.partial(_open, uri, experiment), packages=("mlflow",))


def _open(uri: str, experiment: str, member: Member) -> Session:
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    client = _package().MlflowClient(tracking_uri=uri or None)
    run = _run(client, _experiment(client, experiment), member)
    identity, known = run.info.run_id, run.data.metrics
    reached = max(
        (each.step for name in known if _asked(name) for each in client.get_metric_history(identity, name)), default=-1
    )

    def add(rows: Sequence[Row]) -> None:
        for row in rows:
            _log(client, identity, member, row.step, row.seconds, row.values)

    def end(ending: Ending) -> None:
        new = {name: value for name, value in ending.numbers.items() if known.get(name) != value}
        _log(client, identity, member, ending.step, ending.seconds, new)
        for name, word in ending.words.items():
            client.set_tag(identity, name, word[:_LONGEST])
        stopped = int(1000 * (member.started + ending.seconds))
        client.set_terminated(identity, "FAILED" if ending.failed else "FINISHED", stopped)

    def close(finished: bool) -> None:
        if not finished:
            client.set_terminated(identity, "KILLED")

    return Session(add, end, close, reached, f"{client.tracking_uri}, experiment {experiment}, run {run.info.run_name}")


def _package() -> Any:
    """MLflow, loaded when it is used."""
    import mlflow

    return mlflow


def _experiment(client: Any, name: str) -> str:
    """Its id. Two members may make it at the same time."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name)
        except _package().MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return found.experiment_id


def _run(client: Any, experiment: str, member: Member) -> Any:
    """The run of a member, made where missing, with its config."""
    found = client.search_runs([experiment], f"tags.`{_ID}` = '{member.id}'")
    if found:
        run = found[0]
        client.update_run(run.info.run_id, status="RUNNING")
    else:
        tags = {_ID: member.id, _GROUP: member.group, **{f"environment.{k}": _text(v) for k, v in member.environment.items()}}
        run = client.create_run(experiment, int(1000 * member.started), tags, member.name)
    make = _package().entities.Param
    params = [make(name, _text(value)) for name, value in member.config.items() if name not in run.data.params]
    for start in range(0, len(params), _AT_ONCE):
        client.log_batch(run.info.run_id, params=params[start : start + _AT_ONCE])
    return run


def _asked(name: str) -> bool:
    """Whether the history of a metric says how far a run is; heads of attention have as many rows as the rest."""
    return name.count("/") == 1 and "/layer" not in name


def _log(client: Any, identity: str, member: Member, step: int, seconds: float, values: Mapping[str, float]) -> None:
    make = _package().entities.Metric
    at = int(1000 * (member.started + seconds))
    metrics = [make(name, value, at, step) for name, value in values.items()]
    for start in reversed(range(0, len(metrics), _AT_ONCE)):  # those that are asked for come first, and so are sent last
        client.log_batch(identity, metrics=metrics[start : start + _AT_ONCE])


def _text(value: Any) -> str:
    return str(value)[:_LONGEST]

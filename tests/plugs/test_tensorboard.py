"""Event files as TensorBoard itself reads them."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata

from tests.support import toy
from tests.support.trackers import assert_shown, points, seconds, train

pytestmark = pytest.mark.plug


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorboard")
    return train(toy.write_data(folder), folder / "runs" / "mine", "tensorboard")


def read(run, seed):
    found = EventAccumulator(str(run.path / "tracked" / f"seed{seed}"), size_guidance={"scalars": 0})
    return found.Reload()


def test_every_point_is_read(run):
    for number in (0, 1):
        found = read(run, number)
        shown = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
        assert_shown(shown, points(run, number))


def test_times_are_those_of_the_run(run):
    events = read(run, 0).Scalars("train/loss")
    wanted = dict(points(run)["train/seconds"])
    assert [event.wall_time - events[0].wall_time for event in events] == pytest.approx(
        [wanted[event.step] - wanted[events[0].step] for event in events], abs=1e-3
    )
    assert max(seconds(run)) == max(wanted.values())


def test_config_result_and_hyperparameters_are_there(run):
    found = read(run, 1)
    config, result = (found.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in ("config", "result"))
    assert "| model.encoder | embeddings |" in config
    assert "| seed | 1 |" in config
    assert "| environment.device | " in config
    assert "| verdict | accuracy " in result
    assert "than the baseline majority (" in result
    content = found.PluginTagToContent(metadata.PLUGIN_NAME)
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    assert start.hparams["training.learning_rate"].number_value == 0.02
    experiment = metadata.parse_experiment_plugin_data(content[metadata.EXPERIMENT_TAG])
    assert "test/accuracy" in [info.name.tag for info in experiment.metric_infos]


def test_folders_of_many_runs_are_named_by_run_and_seed(run):
    found = EventMultiplexer().AddRunsFromDirectory(str(run.path.parent))
    assert sorted(found.Runs()) == ["mine/tracked/seed0", "mine/tracked/seed1"]

"""One data set and one sweep in one process, for all clusters."""

import pytest

from tests.cluster.support import Sweeps


@pytest.fixture(scope="session")
def sweeps(tmp_path_factory):
    return Sweeps(tmp_path_factory.mktemp("sweeps"))


@pytest.fixture
def sweep(sweeps):
    """With what is still at work after a test killed."""
    yield sweeps

    sweeps.end()

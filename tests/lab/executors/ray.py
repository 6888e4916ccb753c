"""Evidence of Ray, which tests/cluster starts."""

import socket

import pytest

from attention.lab.executors import ray
from tests.support.evidence import ExecutorEvidence
from tests.support.row import Row

ROW = Row(
    "ray",
    {"address": "'head:6379'", "gpus": "0.5", "cpus": "2", "concurrent": "4"},
    ExecutorEvidence(
        lacks="module ray is not installed: pip install",
        errors={
            "ray(gpus=-1)": "gpus wants 0 or more, got -1",
            "ray(concurrent=0)": "concurrent wants 1 or more, got 0",
            "ray(adress='x')": "nearest: 'address'",
        },
    ),
)


@pytest.mark.parametrize("form", ["{}", "ray://{}"])
def test_an_address_where_nobody_listens_is_no_cluster(form):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = form.format(f"127.0.0.1:{server.getsockname()[1]}")
        ray._reach(address)
    with pytest.raises(OSError, match="refused"):
        ray._reach(address)
    ray._reach("auto")

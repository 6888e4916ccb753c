"""Evidence of the rival that the task chooses."""

import pytest

from attention import rivals, specs
from attention.training import config
from tests.support.evidence import RivalEvidence
from tests.support.row import Row

ROW = Row("auto", {}, RivalEvidence())


@pytest.mark.parametrize("task", specs.names("task"))
def test_it_is_the_own_one_of_the_task(task):
    own = specs.build("task", task).rival
    assert rivals.chosen("auto", own) is specs.build("rival", own)
    assert config.from_dict({"task": task}).rival == "auto"

"""One project for all tests of stage survival, which only read it."""

import pytest

from tests.evaluation.stress import project as made
from tests.evaluation.stress.project import Project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return made.write(tmp_path_factory.mktemp("survival"))

"""One tiny project, reproduced once, for every test that only looks at it."""

import pytest

from tests.pipeline.project import Project


@pytest.fixture(scope="session")
def tiny_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny profile, reproduced from nothing with two workers, its results committed."""
    project = Project(tmp_path_factory.mktemp("tiny") / "project")
    project.dvc("repro", MMLIB_WORKERS="2")
    project.commit("results")
    return project

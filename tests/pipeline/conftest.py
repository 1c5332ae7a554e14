"""Two tiny projects, reproduced once and side by side, for every test that looks at them."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.pipeline.killing import LONG_STAGES, TARGETS, repro_until_killed
from tests.pipeline.project import Project


@pytest.fixture(scope="session")
def building(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Project]]]:
    """Both projects under way: most of a tiny stage is starting Python, which shares well."""
    folder = tmp_path_factory.mktemp("tiny")
    with ThreadPoolExecutor(2) as pool:
        yield {
            "whole": pool.submit(_whole, Project(folder / "project")),
            "killed": pool.submit(_killed, Project(folder / "killed")),
        }


@pytest.fixture(scope="session")
def tiny_project(building: dict[str, Future[Project]]) -> Project:
    """The tiny profile, reproduced from nothing with two workers, its results committed."""
    return building["whole"].result()


@pytest.fixture(scope="session")
def killed_project(building: dict[str, Future[Project]]) -> Project:
    """The scores of two of its runs with one worker, killed -9 in each long stage on the way."""
    return building["killed"].result()


def _whole(project: Project) -> Project:
    project.dvc("repro", MMLIB_WORKERS="2")
    project.commit("results")
    return project


def _killed(project: Project) -> Project:
    for stage in LONG_STAGES:
        assert repro_until_killed(project, stage), f"{stage} kept no finished piece to kill at"
    project.dvc("repro", *TARGETS, MMLIB_WORKERS="1")
    return project

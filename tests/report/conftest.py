"""One finished fake project and its page, made once."""

from pathlib import Path

import pytest

from mmlib.params.whole import file as whole
from mmlib.report import findings, inputs, page
from mmlib.report.answers import answer
from tests.report import fake_project


def render(root: Path) -> str:
    """The page of the project at `root`."""
    found = inputs.load(whole.load(root / "params.yaml"), root)
    drawn = findings.find(found)
    return page.render(found, drawn, answer(found, drawn))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a finished project with all six runs and no stored examples."""
    return fake_project.write(tmp_path_factory.mktemp("project"), examples=False)


@pytest.fixture(scope="session")
def html(project: Path) -> str:
    """Its page."""
    return render(project)

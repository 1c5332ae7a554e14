"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MMLIB_WORKERS", "1")

# Neither has a time limit, which would measure the machine. See tests/properties.py.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("test", _UNTIMED, max_examples=100, derandomize=True, database=None)
settings.register_profile("fuzz", _UNTIMED, max_examples=5000, derandomize=False, print_blob=True)
settings.load_profile("test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no process is left alone with it at the end."""
    pipeline = ROOT / "tests" / "pipeline"
    items.sort(
        key=lambda item: (
            item.get_closest_marker("slow") is None,
            not item.path.is_relative_to(pipeline),
        )
    )


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real and hostile media beside the checkout; a named skip where absent."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        message = f"{folder} is absent: tests on real and hostile media are skipped"
        if os.environ.get("MMLIB_REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder

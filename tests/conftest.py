"""What holds for every test."""

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, and nothing of what is tested.
settings.register_profile("bankbook", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bankbook")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write tests/testdata/*.txt anew")

"""What the tests of the alternatives share."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Callable[[], Path]]:
    """Make folders that everybody may look into: PostgreSQL runs as another user, pytest's are closed."""
    with TemporaryDirectory(prefix="bankbook-") as top:
        outside, numbers = Path(top).parent, count(1)
        mode = outside.stat().st_mode
        Path(top).chmod(0o755)

        def make() -> Path:
            folder = Path(top) / str(next(numbers))
            folder.mkdir()
            folder.chmod(0o755)
            return folder

        yield make
        assert outside.stat().st_mode == mode, f"{outside} is everybody's, and stays so"

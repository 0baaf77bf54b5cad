"""The models of the protocol (docs/model.md): nothing fails in them, unless something is sabotaged.

The larger searches are left to `make model`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parent.parent / "tools" / "check_models.py"
IS_SPIN_HERE = all(shutil.which(tool) for tool in ("spin", "gcc"))


@pytest.mark.timeout(900)
@pytest.mark.skipif(
    not IS_SPIN_HERE and "CI" not in os.environ, reason="needs spin and gcc: apt-get install spin gcc"
)
@pytest.mark.parametrize("model", ["rights", "keys", "incarnations"])
def test_a_model_holds_and_each_of_its_saboteurs_is_found(model: str) -> None:
    done = subprocess.run(
        [sys.executable, str(CHECK), "--quick", model], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_model_that_is_not_there_is_refused() -> None:
    if not IS_SPIN_HERE:
        pytest.skip("needs spin and gcc: apt-get install spin gcc")
    done = subprocess.run([sys.executable, str(CHECK), "tokens"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "rights, keys, incarnations" in done.stderr

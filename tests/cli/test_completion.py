"""What a shell is told when somebody presses Tab."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cli.commands import BANKBOOK, bankbook, complaint_of

TWO = """cluster = "ours"
[[branch]]
id = 1
address = "127.0.0.1:7001"
[[branch]]
id = 12
address = "127.0.0.1:7012"
"""


def completed(folder: Path, *words: str) -> list[str]:
    """Return what bash is told for the last of these words."""
    env = {
        **os.environ,
        "_BANKBOOK_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("bankbook", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run([BANKBOOK], env=env, cwd=folder, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_options_and_branches_are_completed(tmp_path: Path) -> None:
    assert completed(tmp_path, "sta") == ["statement", "status"]
    assert completed(tmp_path, "deposit", "--mem") == ["--memo"]
    assert completed(tmp_path, "balance", "--branch", "") == [], "there is no file"
    (tmp_path / "bank.toml").write_text(TWO)
    assert completed(tmp_path, "balance", "--branch", "") == ["1", "12"]
    assert completed(tmp_path, "branch", "--id", "12") == ["12"]
    (tmp_path / "other.toml").write_text(TWO.replace("12", "34"))
    assert completed(tmp_path, "balance", "--config", "other.toml", "--branch", "3") == ["34"]
    (tmp_path / "bank.toml").write_text("[")
    assert completed(tmp_path, "balance", "--branch", "") == [], "the command will say what is wrong with it"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_every_shell(shell: str) -> None:
    done = bankbook("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_BANKBOOK_COMPLETE={shell}_complete" in done.stdout


def test_bash_takes_its_script_and_completes_with_it() -> None:
    bash = shutil.which("bash")
    assert bash is not None, "the tests' own shell"
    script = (
        'set -e; eval "$(bankbook completion bash)"; complete -p bankbook; '
        "COMP_WORDS=(bankbook depo); COMP_CWORD=1; _bankbook_completion bankbook; echo ${COMPREPLY[@]}"
    )
    env = {**os.environ, "PATH": f"{BANKBOOK.parent}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "deposit"


def test_a_shell_that_is_not_known() -> None:
    assert "'bash', 'zsh', 'fish'" in complaint_of(bankbook("completion", "tcsh"), 2)

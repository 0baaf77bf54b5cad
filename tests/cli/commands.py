"""The command line for tests: run as a person or a script runs it, in processes that are always ended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server.processes import PATIENCE_S, processes_of_session

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
BANKBOOK = Path(sys.executable).with_name("bankbook")

# For a whole run on a machine in distress.
RUN_TIMEOUT_S = 90.0


def bankbook(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [BANKBOOK, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=env,
        stdin=subprocess.DEVNULL,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


@contextmanager
def started(*command: object, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a program in a session of its own; end it, and all it started, whatever happens."""
    # What a shell starts in the background ignores Ctrl-C, and so does all that it starts in turn.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [str(each) for each in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        **more,
    ) as program:
        try:
            yield program
        finally:
            for pid in processes_of_session(program.pid):
                os.kill(pid, signal.SIGKILL)


def lines_until(program: subprocess.Popen[str], last: str) -> list[str]:
    """Read standard output up to the line that contains `last`."""
    assert program.stdout is not None
    lines = []
    for line in program.stdout:
        lines.append(line)
        if last in line:
            return lines
    raise AssertionError(f"it ended without saying {last!r}: {lines}")


def complaint_of(done: subprocess.CompletedProcess[str], status: int) -> str:
    """Check that a command ended with this status and a word to a person; return it."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines, "it says why"
    if not lines[0].startswith("Usage: "):
        assert len(lines) == 1, lines
        assert lines[0].startswith("bankbook: ")
        assert len(lines[0]) < 600
    return lines[-1]


def write_scenario(path: Path, branches: int, *customers: list[dict[str, object]], balance: int = 0) -> Path:
    """Write a scenario; the customers are numbered from 1, and given by their events."""
    records: list[dict[str, object]] = [
        {"id": number, "type": "customer", "events": events}
        for number, events in enumerate(customers, start=1)
    ]
    records += [{"id": number, "type": "branch", "balance": balance} for number in range(1, branches + 1)]
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def deposit(money: int, branch: int) -> dict[str, object]:
    """Return a deposit."""
    return {"interface": "deposit", "money": money, "branch": branch}


def withdraw(money: int, branch: int) -> dict[str, object]:
    """Return a withdrawal."""
    return {"interface": "withdraw", "money": money, "branch": branch}


def transfer(money: int, branch: int, to: int) -> dict[str, object]:
    """Return a transfer."""
    return {"interface": "transfer", "money": money, "branch": branch, "to": to}


def query(branch: int) -> dict[str, object]:
    """Return a query."""
    return {"interface": "query", "branch": branch}


def results_in(path: Path) -> list[object]:
    """Return what each event came to: a balance, or `success`, or the reason why it failed."""
    records = json.loads(path.read_text(encoding="utf-8"))
    results = [result for record in records for result in record["recv"]]
    return [each.get("balance", each.get("reason", each.get("result"))) for each in results]


def expected_of(path: Path) -> list[object]:
    """Return the same for a scenario of one customer who never lacks funds, by adding up."""
    records = json.loads(path.read_text(encoding="utf-8"))
    (customer,) = (record for record in records if record["type"] == "customer")
    balance, results = 0, []
    for event in customer["events"]:
        balance += {"deposit": 1, "withdraw": -1, "query": 0}[event["interface"]] * event.get("money", 0)
        results.append(balance if event["interface"] == "query" else "success")
    return results


def wait_for_end(program: subprocess.Popen[str]) -> int:
    """Wait until a program ends; return its exit status."""
    return program.wait(PATIENCE_S)

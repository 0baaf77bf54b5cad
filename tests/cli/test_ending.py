"""What ends a command: the signals that are like Ctrl-C, in an event loop and without one."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cli.commands import BANKBOOK, lines_until, started
from cli.own_bank import OwnBank
from server.processes import PATIENCE_S

EACH_SIGNAL = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


def told_by(program: str, *, ignored: signal.Signals | None = None) -> list[str]:
    """Return the lines of a program that begins with what every one here needs."""
    begin = """
        import asyncio, signal, sys
        from bankbook.cli.ending import end_like_ctrl_c, run_interruptibly

        signal.signal(signal.SIGINT, signal.default_int_handler)
    """
    if ignored is not None:
        begin += f"    signal.signal({int(ignored)}, signal.SIG_IGN)\n"
    text = textwrap.dedent(begin) + "end_like_ctrl_c()\n" + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


# The signal arrives while a task runs that is not the one to be ended.
IN_ANOTHER_TASK = """
    async def other(number):
        await asyncio.sleep(0)
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            print("raised in another task")
            raise
        await asyncio.sleep(0)
        print("the other task goes on")

    async def work(number):
        task = asyncio.create_task(other(number))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await task
            print("tidied up")
            raise

    try:
        run_interruptibly(work(NUMBER))
    except KeyboardInterrupt:
        print("interrupted")
"""


@EACH_SIGNAL
def test_a_signal_ends_the_work_and_no_other_task(number: signal.Signals) -> None:
    told = told_by(IN_ANOTHER_TASK.replace("NUMBER", str(int(number))))
    assert told == ["the other task goes on", "tidied up", "interrupted"]


def test_kill_ends_what_a_shell_started_in_the_background_in_the_same_way() -> None:
    told = told_by(IN_ANOTHER_TASK.replace("NUMBER", str(int(signal.SIGTERM))), ignored=signal.SIGINT)
    assert told == ["the other task goes on", "tidied up", "interrupted"]


def test_a_second_signal_is_not_waited_for() -> None:
    program = """
        async def work():
            try:
                signal.raise_signal(signal.SIGTERM)
                await asyncio.sleep(60)
            finally:
                print("ending")
                signal.raise_signal(signal.SIGTERM)
                print("never told")

        try:
            run_interruptibly(work())
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert told_by(program) == ["ending", "interrupted"]


def test_before_and_after_the_event_loop_a_signal_is_ctrl_c() -> None:
    program = """
        async def work():
            return "done"

        for number in (signal.SIGTERM, signal.SIGHUP):
            try:
                print(run_interruptibly(work()))
                signal.raise_signal(number)
            except KeyboardInterrupt:
                print("interrupted")
    """
    assert told_by(program) == ["done", "interrupted", "done", "interrupted"]


def test_work_that_cancels_itself_was_not_interrupted() -> None:
    program = """
        async def work():
            raise asyncio.CancelledError

        try:
            run_interruptibly(work())
        except asyncio.CancelledError:
            print("cancelled")
    """
    assert told_by(program) == ["cancelled"]


def test_who_closes_the_terminal_ends_no_bank_under_nohup(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path, branches=1)
    with started("nohup", BANKBOOK, "up", env=bank.env) as program:
        lines_until(program, "ready")
        program.send_signal(signal.SIGHUP)
        bank.says("open", "anna")
        assert bank.says("deposit", "anna", 5) == "deposited 5; anna has 5"
        program.send_signal(signal.SIGTERM)
        _, told = program.communicate(timeout=PATIENCE_S)
        assert (program.returncode, told) == (0, "stopping the branches\n")

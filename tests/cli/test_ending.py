"""What ends a command: the signals that are like Ctrl-C, in an event loop and without one."""

import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cli.commands import BANKBOOK, EXAMPLES, lines_until, started
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


TWO_SIGNALS = """
    async def work():
        try:
            signal.raise_signal(FIRST)
            await asyncio.sleep(60)
        finally:
            print("ending")
            signal.raise_signal(SECOND)
            await asyncio.sleep(0)
            print("ended")

    try:
        run_interruptibly(work())
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@EACH_SIGNAL
def test_a_second_signal_is_not_waited_for(number: signal.Signals, second: signal.Signals) -> None:
    program = TWO_SIGNALS.replace("FIRST", str(int(number))).replace("SECOND", str(int(second)))
    assert told_by(program) == ["ending", "interrupted"]


def test_a_closed_terminal_that_tells_so_twice_has_told_it_once() -> None:
    program = TWO_SIGNALS.replace("FIRST", "signal.SIGHUP").replace("SECOND", "signal.SIGHUP")
    assert told_by(program) == ["ending", "ended", "interrupted"]


def test_before_and_after_the_event_loop_a_signal_is_ctrl_c() -> None:
    program = """
        async def work():
            return "done"

        def interrupt(number):
            try:
                signal.raise_signal(number)
            except KeyboardInterrupt:
                print("interrupted")

        interrupt(signal.SIGTERM)
        print(run_interruptibly(work()))
        interrupt(signal.SIGTERM)
        interrupt(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        print("a closed terminal sends it twice")
        interrupt(signal.SIGINT)
    """
    assert told_by(program) == [
        "interrupted",
        "done",
        "interrupted",
        "interrupted",
        "a closed terminal sends it twice",
        "interrupted",
    ]


@EACH_SIGNAL
def test_a_signal_in_the_last_step_of_the_work_is_not_lost(number: signal.Signals) -> None:
    program = """
        async def work():
            await asyncio.sleep(0)
            signal.raise_signal(NUMBER)

        try:
            run_interruptibly(work())
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert told_by(program.replace("NUMBER", str(int(number)))) == ["interrupted"]


@EACH_SIGNAL
def test_a_signal_while_the_event_loop_is_closed_ends_no_task(number: signal.Signals) -> None:
    program = """
        async def left_over():
            try:
                await asyncio.sleep(60)
            finally:
                signal.raise_signal(NUMBER)
                print("tidied up")

        async def work():
            global kept
            kept = asyncio.create_task(left_over())
            await asyncio.sleep(0)

        try:
            run_interruptibly(work())
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert told_by(program.replace("NUMBER", str(int(number)))) == ["tidied up", "interrupted"]


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


@EACH_SIGNAL
@pytest.mark.parametrize("command", ["deposit", "status", "customers"])
def test_who_waits_for_a_bank_is_interrupted(command: str, number: signal.Signals, tmp_path: Path) -> None:
    bank = OwnBank(tmp_path, branches=1)
    arguments: dict[str, tuple[object, ...]] = {
        "deposit": ("anna", 5, "--timeout", "60s"),
        "status": (),
        "customers": (EXAMPLES / "input.json", "-o", tmp_path / "output.json", "--port-base", bank.base),
    }
    # Whoever connects hears nothing.
    with (
        socket.create_server(("127.0.0.1", bank.base + 1)) as silent,
        started(BANKBOOK, command, *arguments[command], env=bank.env) as program,
    ):
        silent.settimeout(PATIENCE_S)
        with silent.accept()[0]:
            program.send_signal(number)
            _, told = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 130
    assert re.fullmatch("bankbook: interrupted.*\n", told)


def test_a_branch_whose_terminal_is_closed_stops_in_good_order(tmp_path: Path) -> None:
    bank = OwnBank(tmp_path, branches=1)
    with bank.branch(1) as program:
        for _ in range(2):
            program.send_signal(signal.SIGHUP)
        _, told = program.communicate(timeout=PATIENCE_S)
    assert (program.returncode, told) == (0, "stopping the branch\n")

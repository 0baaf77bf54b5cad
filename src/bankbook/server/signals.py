"""The signals that tell a process to stop.

Decides which those are. Must not know what is stopped.
Proof: tests/cli/test_ending.py, tests/server/test_processes.py.
"""

import asyncio
import signal

import structlog


def like_ctrl_c() -> list[signal.Signals]:
    """Return what `kill` and a closed terminal send; the latter not where `nohup` has it ignored."""
    both = (signal.SIGTERM, signal.SIGHUP)
    return [each for each in both if signal.getsignal(each) is not signal.SIG_IGN]


def set_on_signals(stop: asyncio.Event) -> None:
    """Let Ctrl-C and what is like it set `stop`, as often as they come."""
    for each in (signal.SIGINT, *like_ctrl_c()):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)


def on_signals(stop: asyncio.Event) -> None:
    """Let the first SIGINT, SIGTERM or SIGHUP set `stop`, and a second of the former end the process at once.

    SIGHUP is heard once, since a closed terminal may send it twice, and not under `nohup`.
    """
    loop = asyncio.get_running_loop()
    heard = [signal.SIGINT, *like_ctrl_c()]

    def first(number: signal.Signals) -> None:
        stop.set()
        for each in heard:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_IGN if each is signal.SIGHUP else signal.SIG_DFL)
        structlog.get_logger().info("signal", signal=number.name)

    for each in heard:
        loop.add_signal_handler(each, first, each)

"""The commands a person types.

    app          the group of commands, and what their errors look like
    options      options that several commands share, and the values people write
    run          a scenario from its start to its verdict
    branches     a scenario's branches, until stopped
    customers    a scenario's customers, at branches that run already
    check        a verdict on an output
    simulate     a scenario in virtual time, or a bank under random faults

    bank         a bank of one's own: its file, and its branches
    status       what each branch of it says of itself
    bench        how fast a bank is, on this machine
    accounts     what a customer does with an account
    statement    what moved on an account
    teller       a customer's visit: who they are, which token they bring, and how a command ends
    token_file   where the token waits between two commands
    amounts      amounts as people write them, in the decimals of their currency
    completion   what a shell needs to complete commands

    ending       exit statuses, and what is said when a command cannot do what it was asked
    report       what a person, or a program, is told of a run

This module imports nothing before it must: every branch process imports its parent's main module.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

# As in bankbook.cli.ending, which is not imported yet when these are needed; a test holds them together.
_COULD_NOT_RUN, _INTERRUPTED = 3, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and exit with its status."""
    try:
        _open_standard_streams()
        # What gRPC says on standard error about a taken port, a command says better.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from bankbook.cli.app import app  # noqa: PLC0415  (see above)

        app.main(arguments, prog_name="bankbook")
    except OSError as error:  # a disk is full, or all file descriptors are in use
        discard_standard_output()
        sys.stderr.write(f"bankbook: {error.strerror or error}\n")
        sys.exit(_COULD_NOT_RUN)
    except KeyboardInterrupt:  # before any command has begun: imports take a moment
        sys.exit(_INTERRUPTED)
    finally:
        # All is tidied up: a late Ctrl-C ends the interpreter without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def discard_standard_output() -> None:
    """Let what is still in the buffer go nowhere; the interpreter would try, and complain, once more."""
    with suppress(OSError):  # no file descriptor is left even for this: then it complains
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _open_standard_streams() -> None:
    """Let what the caller closed lead nowhere.

    Otherwise the next file or socket to be opened gets its number, and what a branch logs goes there.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            assert opened == number, "the lowest free number is the one that was closed"
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  (for good)

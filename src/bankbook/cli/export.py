"""`bankbook export`: the bank's books, for whoever audits them with other tools.

Decides where the entries come from and where the journal goes. Must not know how it is written
(bankbook.journal). Proof: tests/cli/test_export.py.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import grpc
import grpc.aio

from bankbook.cli import discard_standard_output, options
from bankbook.cli.amounts import decimal_text
from bankbook.cli.completion import complete_branches
from bankbook.cli.ending import BAD_INPUT, COULD_NOT_RUN, RETRYABLE, end_like_ctrl_c, fail, run_interruptibly
from bankbook.core.encoding import EntryDamagedError, decode_entry
from bankbook.core.entry import Entry
from bankbook.core.outcome import Outcome
from bankbook.core.ports import Genesis
from bankbook.core.types import AccountId, BranchId, Money, Origin, Seq
from bankbook.core.vector import NOTHING, VersionVector
from bankbook.journal.beancount import Journal, JournalError
from bankbook.scenario.output import OutputError, writing_whole
from bankbook.server.bank_file import BankFile, BankFileError, BranchPlace, read_bank_file
from bankbook.server.branch import STORE_FILE
from bankbook.store.base import StoreError, StoreInUseError
from bankbook.store.history import history
from bankbook.store.sqlite import SqliteStore
from bankbook.wire.basics import MESSAGE_OPTIONS, MessageDamagedError
from bankbook.wire.status import CODES
from bankbook.wire.v1 import admin_pb2, admin_pb2_grpc
from bankbook.wire.vectors import decode_vector

Write = Callable[[str], object]

_STANDARD_OUTPUT = "-"

# For a branch to say what it is; it is either there or not.
_CONNECT_TIMEOUT_S = 2.0

# Between two batches of some milliseconds' work each; the whole may take as long as the bank has entries.
_BATCH_TIMEOUT_S = 30.0


class ExportError(Exception):
    """The journal could not be written; the message says why and what to do."""

    def __init__(self, message: str, status: int = COULD_NOT_RUN) -> None:
        super().__init__(message)
        self.status = status


@click.command()
@options.config_option
@click.option(
    "--branch",
    "number",
    type=int,
    metavar="N",
    shell_complete=complete_branches,
    help="Export what this branch has. [default: the first in the file that answers]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Export from the store of one branch, such as data/branch-1, while that branch is stopped.",
)
@click.option(
    "-o",
    "--output",
    "output_path",
    type=click.Path(path_type=Path, allow_dash=True),
    default=_STANDARD_OUTPUT,
    show_default=True,
    metavar="FILE",
    help="Where the journal goes, written whole or not at all; - is standard output.",
)
@click.pass_context
def export(
    context: click.Context, config: Path, number: int | None, data: Path | None, output_path: Path
) -> None:
    """Write the bank's books as a journal that `bean-check` verifies (https://beancount.github.io).

    It has every deposit, withdrawal, transfer and capture that the branch has on its disk, in the order of
    statements, and at its end what is in each account. docs/journal.md says how to read it.

    Exit status: 0 written, 2 bad input, 3 it could not run, 5 no branch answered: ask again.
    """
    is_named = context.get_parameter_source("config") is click.core.ParameterSource.COMMANDLINE
    if data is not None and (number is not None or is_named):
        raise click.UsageError(
            "--data is a stopped branch's store; a running branch is --config and --branch"
        )
    end_like_ctrl_c()
    try:
        with _output(output_path) as write:
            if data is not None:
                _export_stopped(data / STORE_FILE, write)
            else:
                run_interruptibly(_export_running(_places(config, number), write))
    except BrokenPipeError:  # they have read enough, as `head` does
        discard_standard_output()
    except (ExportError, OutputError) as error:
        fail(str(error), error.status if isinstance(error, ExportError) else COULD_NOT_RUN, as_json=False)


@contextmanager
def _output(path: Path) -> Iterator[Write]:
    if str(path) != _STANDARD_OUTPUT:
        with writing_whole(path) as file:
            yield file.write
        return
    # UTF-8 whatever the terminal has: beancount reads nothing else.
    yield lambda text: sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _places(config: Path, number: int | None) -> tuple[BankFile, list[BranchPlace]]:
    try:
        bank = read_bank_file(config)
    except BankFileError as error:
        raise ExportError(str(error), BAD_INPUT) from error
    places = [place for place in bank.places if number in (None, place.branch)]
    if not places:
        there = ", ".join(str(place.branch) for place in bank.places)
        raise ExportError(f"{config}: there is no branch {number}; there are {there}", BAD_INPUT)
    return bank, places


# A branch that is stopped.


def _export_stopped(path: Path, write: Write) -> None:
    try:
        with closing(SqliteStore.open_stopped(path)) as store:
            until, dropped = store.applied(), store.dropped()
            brought_forward = _brought_forward(store, dropped, until) if dropped else None
            journal = Journal(store.identity.genesis, decimal_text, brought_forward)
            write(journal.begin(until, dropped))
            for entry in history(store, dropped, until):
                write(journal.add(entry))
            _compare(journal, store, path)
            write(journal.end())
    except StoreInUseError as error:
        raise ExportError(
            f"{path} is in use by another process: stop that branch, or export from it while it runs, with "
            "--config and --branch instead of --data"
        ) from error
    except (StoreError, JournalError) as error:
        raise ExportError(str(error)) from error


def _brought_forward(
    store: SqliteStore, dropped: VersionVector, until: VersionVector
) -> dict[AccountId, tuple[int, str]]:
    """Return what each account that the entries name had before them, and its currency."""
    moved: dict[AccountId, int] = {}
    for entry in history(store, dropped, until):
        for account, amount in entry.postings:
            moved[account] = moved.get(account, 0) + amount
    states = ((account, amount, store.account(account)) for account, amount in moved.items())
    return {
        account: (state.balance - amount, state.currency)
        for account, amount, state in states
        if state is not None
    }


def _compare(journal: Journal, store: SqliteStore, path: Path) -> None:
    """See that the store's own account table, by which the branch decides, says the same as its logs."""
    for account, balance in journal.balances:
        kept = store.account(account)
        if kept is None or kept.balance != balance:
            found = "nothing" if kept is None else kept.balance
            raise ExportError(
                f"{path} is damaged, its log has account {account} at {balance} and its table of accounts at "
                f"{found}, in the smallest unit: export from another branch, and restore this one's file"
            )


# A branch that runs.


async def _export_running(where: tuple[BankFile, list[BranchPlace]], write: Write) -> None:
    bank, places = where
    complaints = []
    for place in places:
        async with grpc.aio.insecure_channel(place.address, MESSAGE_OPTIONS) as channel:
            stub: admin_pb2_grpc.AdminAsyncStub = admin_pb2_grpc.AdminStub(channel)
            genesis = await _genesis(stub, bank, place)
            if isinstance(genesis, Genesis):
                await _write_journal(stub, place, genesis, write)
                return
        complaints.append(genesis)
    others = f", and {len(complaints) - 1} more do not serve either" if len(complaints) > 1 else ""
    raise ExportError(f"{complaints[0]}{others}; is the bank running?", RETRYABLE)


async def _genesis(
    stub: "admin_pb2_grpc.AdminAsyncStub", bank: BankFile, place: BranchPlace
) -> Genesis | str:
    """Return what the bank began with; or a complaint about who is there instead, or nobody."""
    try:
        status = await stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=_CONNECT_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        return f"branch {place.branch} at {place.address} gave no answer ({error.code().name})"
    if (status.cluster, status.origin.branch) != (bank.cluster, place.branch):
        found = f"branch {status.origin.branch} of {status.cluster}"
        return f"at {place.address} is {found} instead of branch {place.branch} of {bank.cluster}"
    if status.is_catching_up:
        return f"branch {place.branch} has a new store and lacks what the others know"
    opening = Money(status.opening_balance) if status.HasField("opening_balance") else None
    return Genesis(bank.cluster, tuple(BranchId(each) for each in bank.addresses), opening)


async def _write_journal(
    stub: "admin_pb2_grpc.AdminAsyncStub", place: BranchPlace, genesis: Genesis, write: Write
) -> None:
    journal = Journal(genesis, decimal_text)
    until, written = NOTHING, dict[Origin, Seq]()
    try:
        async for batch in _batches(stub, place):
            if batch.HasField("until"):
                until = decode_vector(batch.until)
                write(journal.begin(until))
            for entry in _decoded(batch):
                write(journal.add(entry))
                written[entry.origin] = entry.seq
    except (JournalError, EntryDamagedError, MessageDamagedError) as error:
        raise ExportError(f"branch {place.branch} at {place.address}: {error}") from error
    if VersionVector(written.items()) != until:
        raise _broken_off(place, "not all that it announced has come")
    write(journal.end())


async def _batches(
    stub: "admin_pb2_grpc.AdminAsyncStub", place: BranchPlace
) -> AsyncIterator[admin_pb2.EntryBatch]:
    # No deadline for the whole, which has no bound, but for each batch.
    call = stub.ReadEntries(admin_pb2.ReadEntriesRequest())
    batches = aiter(call)
    try:
        while True:
            async with asyncio.timeout(_BATCH_TIMEOUT_S):
                batch = await anext(batches, None)
            if batch is None:
                return
            yield batch
    except TimeoutError:
        raise _broken_off(place, f"nothing came for {_BATCH_TIMEOUT_S:.0f} s") from None
    except grpc.aio.AioRpcError as error:
        if error.code() is CODES[Outcome.HISTORY_DROPPED]:
            raise ExportError(f"branch {place.branch} at {place.address}: {error.details()}") from error
        raise _broken_off(place, error.details() or error.code().name) from error
    finally:
        call.cancel()


def _broken_off(place: BranchPlace, why: str) -> ExportError:
    return ExportError(
        f"branch {place.branch} at {place.address} broke off in the middle ({why}); export again, or from "
        "another branch",
        RETRYABLE,
    )


def _decoded(batch: admin_pb2.EntryBatch) -> Iterator[Entry]:
    return (decode_entry(encoded) for encoded in batch.entries)

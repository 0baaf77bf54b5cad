"""One customer's visit at the bank: who they are, what their bankbook says, and how a command ends.

Decides which token a command brings along and that what it learns is kept, also where it fails.
Must not know what is asked of the bank. Proof: tests/cli/test_accounts.py.
"""

import functools
import getpass
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from bankbook.cli import options
from bankbook.cli.amounts import AmountError
from bankbook.cli.completion import complete_branches
from bankbook.cli.ending import (
    BAD_INPUT,
    COULD_NOT_RUN,
    INTERRUPTED,
    end_like_ctrl_c,
    fail,
    run_interruptibly,
    status_of,
)
from bankbook.cli.token_file import TokenFile, TokenFileError, default_path
from bankbook.client import (
    Bank,
    BankbookError,
    InvalidTokenError,
    OutcomeUnknownError,
    Session,
    SessionToken,
    WritesLostError,
)
from bankbook.client.bank import DEFAULT_TIMEOUT_S
from bankbook.core.types import ID_RULE, KEY_RULE, BranchId, is_id, is_key
from bankbook.server.bank_file import BankFile, BankFileError, read_bank_file

Result = TypeVar("Result")

CUSTOMER_VARIABLE = "BANKBOOK_CUSTOMER"


class WhoError(Exception):
    """It is not known who the customer is; the message says what to do."""


class ToldError(Exception):
    """What the bank refused, in words that suit the customer better than the bank's own."""

    def __init__(self, error: BankbookError, message: str) -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Visit:
    """What a command line says of the customer and of the bank."""

    bank: BankFile
    customer: str
    branch: int | None
    """None: whichever can be reached."""
    timeout_s: float
    token_file: TokenFile
    as_json: bool
    key: str | None = None
    """Of a write: the customer's own name for it."""

    @property
    def at(self) -> dict[str, Any]:
        """How every request of this visit is sent."""
        return {"branch": self.branch, "timeout": self.timeout_s}

    def make(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        """Do `work` in the customer's session, and keep what the session learned. Exits where that fails."""
        try:
            token = self.token_file.read()
        except TokenFileError as error:
            fail(str(error), COULD_NOT_RUN, self.as_json)
        end_like_ctrl_c()
        try:
            return run_interruptibly(self._in_session(work, token))
        except AmountError as error:
            fail(str(error), BAD_INPUT, self.as_json)
        except ToldError as told:
            self._refuse(told.error, str(told))
        except BankbookError as error:
            self._refuse(error, str(error))
        except KeyboardInterrupt:
            fail(f"interrupted{_advice(self.key)}", INTERRUPTED, self.as_json)

    async def _in_session(self, work: Callable[[Session], Awaitable[Result]], token: SessionToken) -> Result:
        async with Bank(self._addresses()) as bank:
            session = bank.session(self.customer, token=token)
            try:
                return await work(session)
            finally:
                self._keep(token, session.token)

    def _addresses(self) -> dict[BranchId, str]:
        """Return the branches that may be asked: whoever names one wants no other one's answer."""
        addresses = self.bank.addresses
        return {each: at for each, at in addresses.items() if self.branch in {None, each}}

    def _keep(self, sent: SessionToken, learned: SessionToken) -> None:
        """Keep what was learned. Where that is impossible, what was done is done all the same."""
        try:
            self.token_file.learn(sent, learned)
        except TokenFileError as error:
            click.echo(f"bankbook: warning: {error}; your next command may not see this one", err=True)

    def _refuse(self, error: BankbookError, told: str) -> NoReturn:
        if isinstance(error, InvalidTokenError | WritesLostError):
            told += f" `bankbook forget` or --new-session does that; the token is in {self.token_file.path}."
        if isinstance(error, OutcomeUnknownError):
            told += _advice(error.key)
        fail(told, status_of(error), self.as_json, error.outcome)


def _advice(key: str | None) -> str:
    if key is None:
        return ""
    return f" The same command with --key {key} tells what became of it, and never does it twice."


def visiting(*, writes: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a customer's options; the command gets them as `visit`, and a write also `sent_with`, a dict."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def collect(**given: Any) -> None:
            options_given = _Given(**{name: given.pop(name) for name in _VISIT_NAMES})
            key = given.pop("key") if writes else None
            visit = options_given.visit(key)
            if writes:
                durable = given.pop("durable")
                durable = visit.bank.durable if durable is None else durable
                given["sent_with"] = {**visit.at, "key": key, "durable": durable}
            command(visit=visit, **given)

        extra = _WRITE_OPTIONS if writes else ()
        together: Callable[..., None] = options.together(*_VISIT_OPTIONS, *extra)(collect)
        return together

    return add


@dataclass(frozen=True, slots=True)
class _Given:
    """A customer's options, as they were given."""

    config: Path
    customer: str | None
    token_file: Path | None
    branch: int | None = None
    timeout_us: int = 0
    new_session: bool = False
    as_json: bool = False

    def visit(self, key: str | None = None) -> Visit:
        """Return the visit that they describe. Exits where they are wrong."""
        try:
            bank = read_bank_file(self.config)
            name = _login_name() if self.customer is None else _named(self.customer)
            file = TokenFile(self.token_file or default_path(bank.cluster, name))
            if self.new_session:
                file.forget()
        except (BankFileError, WhoError) as error:
            fail(str(error), BAD_INPUT, self.as_json)
        except TokenFileError as error:
            fail(str(error), COULD_NOT_RUN, self.as_json)
        if self.branch not in {None, *bank.addresses}:
            there = ", ".join(str(branch) for branch in bank.addresses)
            fail(f"there is no branch {self.branch}; there are {there}", BAD_INPUT, self.as_json)
        return Visit(bank, name, self.branch, self.timeout_us / 1e6, file, self.as_json, key)


def _named(name: str) -> str:
    if not is_id(name):
        raise WhoError(f"--as: a customer's name has {ID_RULE}; this one is {name[:80]!r}")
    return name


def _login_name() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # nobody by that number is known here, as in some containers
        name = ""
    if not is_id(name):
        raise WhoError(f"who are you? Say it with --as NAME, or in ${CUSTOMER_VARIABLE}")
    return name


as_option = click.option(
    "--as",
    "customer",
    envvar=CUSTOMER_VARIABLE,
    show_envvar=True,
    metavar="CUSTOMER",
    help="Who you are. [default: your login name]",
)

token_file_option = click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where your session's token is kept. "
    "[default: $XDG_STATE_HOME/bankbook/CLUSTER/CUSTOMER.token, or under ~/.local/state]",
)

_VISIT_OPTIONS = (
    options.config_option,
    click.option(
        "--branch",
        type=int,
        metavar="N",
        shell_complete=complete_branches,
        help="Ask this branch and no other one. [default: the first that can be reached]",
    ),
    as_option,
    options.duration_option("timeout", f"{DEFAULT_TIMEOUT_S:.0f}s", "How long to wait for the answer."),
    token_file_option,
    click.option("--new-session", is_flag=True, help="Forget what earlier commands of yours wrote and read."),
    options.json_option,
)

_VISIT_NAMES = ("config", "branch", "customer", "timeout_us", "token_file", "new_session", "as_json")


def _key(_context: click.Context, _param: click.Parameter, key: str | None) -> str | None:
    if key is not None and not is_key(key):
        raise click.BadParameter(f"a key is {KEY_RULE}; this one is {key[:80]!r}")
    return key


_WRITE_OPTIONS = (
    click.option(
        "--key",
        callback=_key,
        metavar="KEY",
        help="Your name for this one request: sent again with it, it never takes effect twice. "
        "[default: a new one]",
    ),
    click.option(
        "--durable",
        type=click.IntRange(0, 255),
        metavar="N",
        help="On how many other branches' disks it must be before it is acknowledged. "
        "[default: as the bank's file says, or 0]",
    ),
)


@click.command()
@options.config_option
@as_option
@token_file_option
def forget(config: Path, customer: str | None, token_file: Path | None) -> None:
    """Forget what your earlier commands wrote and read: the next one starts a new session.

    It changes nothing at the bank. Your next answer may be older than what you have seen already.
    """
    visit = _Given(config, customer, token_file).visit()
    try:
        was_there = visit.token_file.forget()
    except TokenFileError as error:
        fail(str(error), COULD_NOT_RUN, as_json=False)
    click.echo(f"{'forgot' if was_there else 'there is no'} {visit.token_file.path}")

"""The commands of the traces: what each does with a bank.

Decides which commands there are, with those of machines.py. Each is described by its usage, by which lines
are taken apart, and to which a test holds the page tests/testdata/README.md. Must not know files.
Proof: tests/core/test_traces.py.
"""

from typing import NamedTuple

import traces.machines  # noqa: F401  (its commands go into the table)
from bank_in_one_thread import Letter
from traces.bank import Link, TellingBank
from traces.language import Arguments, TraceError, parse
from traces.shown import SUBJECTS
from traces.usages import USAGES, check_runs, usage
from traces.words import branch_words, duration_words, listed, named_entry

from bankbook.core.commands import (
    Batch,
    Cancel,
    Capture,
    Command,
    Deposit,
    OpenAccount,
    ReadBalance,
    ReadStatement,
    Release,
    Reserve,
    SingleWrite,
    Transfer,
    Withdraw,
)
from bankbook.core.entry import Opening
from bankbook.core.token import Token, TokenCodec
from bankbook.core.types import AccountId, Money, ReservationId
from bankbook.core.vector import VersionVector

_REQUEST = " [level=LEVEL] [token=TOKEN] [key=KEY] [within=DURATION] [guarantees=GUARANTEES] [durable=COUNT]"


class Line(NamedTuple):
    """One command, with its lines of input."""

    text: str
    input: tuple[str, ...] = ()


class Interpreter:
    """Carries out the commands of one file on one bank."""

    def __init__(self) -> None:
        self._bank: TellingBank | None = None

    @property
    def bank(self) -> TellingBank:
        if self._bank is None:
            raise TraceError("there is no bank yet; begin with: bank branches=3")
        return self._bank

    def run(self, line: Line) -> list[str]:
        """Carry out a command; return what it tells. Raises TraceError."""
        name, *words = line.text.split()
        if name not in USAGES:
            raise TraceError(f"there is no command {name!r}; there are {listed(sorted(USAGES))}")
        arguments = parse(USAGES[name], words)
        if line.input and name != "batch":
            raise TraceError(f"{name} takes no lines of input")
        if name == "batch":
            arguments["lines"] = line.input
        if name == "bank":
            self._bank = TellingBank(**arguments)
        _check_branches(self.bank, arguments)
        self.bank.lines = []
        USAGES[name].do(self.bank, **arguments)
        self.bank.deliver_chatter()
        return self.bank.lines


def _check_branches(bank: TellingBank, arguments: Arguments) -> None:
    links = [arguments[name] for name in ("link", "line") if isinstance(arguments.get(name), Link)]
    named = [
        arguments.get("at"),
        arguments.get("branch"),
        arguments.get("unnoticed"),
        *(branch for link in links for branch in link),
    ]
    for branch in named:
        if isinstance(branch, int) and branch not in bank.branches:
            raise TraceError(f"this bank has no branch {branch}; it has {branch_words(bank.branches)}")


@usage(
    "bank branches=COUNT [opening=BALANCE] [also=CHATTER] [kept=DURATION]",
    "Found a bank, all branches connected. Every account begins with `opening` (0 if left out; where it is "
    "`none`, accounts have to be opened). `also` names chatter that is to be told, and delivered by hand. "
    "Where `kept` says for how long, keys are forgotten then, and entries dropped that every branch has.",
)
def _tell_of_bank(
    bank: TellingBank, branches: int, opening: int | None = 0, kept: int | None = None, **_: object
) -> None:
    accounts = "accounts have to be opened" if opening is None else f"every account has {opening}"
    told = "" if kept is None else f"; keys and entries are kept for {duration_words(kept)}"
    bank.tell(f"{branch_words(range(1, branches + 1))}; {accounts}{told}")


# What customers do.


@usage("read CUSTOMER ACCOUNT at=BRANCH" + _REQUEST, "Ask for a balance.")
def _read(bank: TellingBank, customer: str, account: str, at: int, **options: object) -> None:
    _request(bank, at, customer, ReadBalance(AccountId(account)), **options)


@usage(
    "statement CUSTOMER ACCOUNT at=BRANCH" + _REQUEST, "Ask what moved on an account, from its beginning on."
)
def _statement(bank: TellingBank, customer: str, account: str, at: int, **options: object) -> None:
    _request(bank, at, customer, ReadStatement(AccountId(account)), **options)


@usage("deposit CUSTOMER ACCOUNT AMOUNT at=BRANCH" + _REQUEST, "Pay in.")
def _deposit(bank: TellingBank, customer: str, account: str, amount: int, at: int, **options: object) -> None:
    _request(bank, at, customer, Deposit(AccountId(account), Money(amount)), **options)


@usage("withdraw CUSTOMER ACCOUNT AMOUNT at=BRANCH" + _REQUEST, "Take out.")
def _withdraw(
    bank: TellingBank, customer: str, account: str, amount: int, at: int, **options: object
) -> None:
    _request(bank, at, customer, Withdraw(AccountId(account), Money(amount)), **options)


@usage("transfer CUSTOMER SOURCE DESTINATION AMOUNT at=BRANCH" + _REQUEST, "Move money.")
def _transfer(
    bank: TellingBank, customer: str, source: str, destination: str, amount: int, at: int, **options: object
) -> None:
    _request(
        bank, at, customer, Transfer(AccountId(source), AccountId(destination), Money(amount)), **options
    )


@usage(
    "batch CUSTOMER at=BRANCH [atomic=YES]" + _REQUEST,
    "Carry out the indented lines below it (`deposit ACCOUNT AMOUNT`, `withdraw ACCOUNT AMOUNT`, "
    "`transfer SOURCE DESTINATION AMOUNT`) in one entry; with `atomic`, all of them or none.",
)
def _batch(
    bank: TellingBank,
    customer: str,
    at: int,
    lines: tuple[str, ...],
    atomic: bool = False,
    **options: object,
) -> None:
    _request(bank, at, customer, Batch(tuple(_part(line) for line in lines), atomic), **options)


def _part(line: str) -> SingleWrite:
    match line.split():
        case ["deposit", account, amount] if amount.isdecimal():
            return Deposit(AccountId(account), Money(int(amount)))
        case ["withdraw", account, amount] if amount.isdecimal():
            return Withdraw(AccountId(account), Money(int(amount)))
        case ["transfer", source, destination, amount] if amount.isdecimal():
            return Transfer(AccountId(source), AccountId(destination), Money(int(amount)))
    raise TraceError(f"{line!r} is no part of a batch; one is such as: deposit x 50")


@usage(
    "reserve CUSTOMER ACCOUNT AMOUNT at=BRANCH [for=ACCOUNT] [lifetime=DURATION]" + _REQUEST,
    "Set money aside.",
)
def _reserve(bank: TellingBank, customer: str, account: str, amount: int, at: int, **options: object) -> None:
    destination, lifetime = options.pop("for", None), options.pop("lifetime", None)
    assert isinstance(lifetime, int | None), "a duration is a number of microseconds"
    command = Reserve(
        AccountId(account),
        Money(amount),
        None if destination is None else AccountId(str(destination)),
        None if lifetime is None else lifetime // 1000,
    )
    _request(bank, at, customer, command, **options)


@usage(
    "capture CUSTOMER RESERVATION [AMOUNT] at=BRANCH [final=NO]" + _REQUEST,
    "Take out what was set aside, or a part; what is left is free again unless it is not `final`.",
)
def _capture(
    bank: TellingBank,
    customer: str,
    reservation: ReservationId,
    at: int,
    amount: int | None = None,
    final: bool = True,
    **options: object,
) -> None:
    taken = None if amount is None else Money(amount)
    _request(bank, at, customer, Capture(reservation, taken, final), **options)


@usage("release CUSTOMER RESERVATION at=BRANCH" + _REQUEST, "Free what was set aside.")
def _release(
    bank: TellingBank, customer: str, reservation: ReservationId, at: int, **options: object
) -> None:
    _request(bank, at, customer, Release(reservation), **options)


@usage("open CUSTOMER ACCOUNT at=BRANCH [floor=BALANCE]" + _REQUEST, "Open an account.")
def _open(
    bank: TellingBank, customer: str, account: str, at: int, floor: int | None = 0, **options: object
) -> None:
    opening = Opening(AccountId(account), None if floor is None else Money(floor), "")
    _request(bank, at, customer, OpenAccount(opening), **options)


def _request(bank: TellingBank, at: int, customer: str, command: Command, **options: object) -> None:
    check_runs(bank, at)
    encoded = _token(bank, str(options.pop("token"))) if "token" in options else None
    if "within" in options:
        options["within_us"] = options.pop("within")
    if "level" in options:
        options["freshness"] = options.pop("level")
    bank.request(at, customer, command, encoded, **options)


def _token(bank: TellingBank, text: str) -> bytes:
    """Return the encoded token that a command names: tokens of customers, or entries, with + between them."""
    encoded = b""
    for part in text.split("+"):
        if part in bank.sessions:
            encoded += bank.encoded_token(part)
        elif "#" in part:
            encoded += bank.codec.encode(_made_up(part))
        elif part == "another-bank":
            encoded += TokenCodec("another bank").encode(_made_up("1#1"))
        elif part == "damaged":
            encoded += bank.codec.encode(_made_up("1#1"))[:-1] + b"!"
        elif part != "none":
            raise TraceError(
                f"{part!r} is no TOKEN: it is none, a customer who has one, an entry such as 1#3, "
                "another-bank or damaged"
            )
    return encoded


def _made_up(entry: str) -> Token:
    try:
        vector = VersionVector([named_entry(entry)])
    except ValueError as error:
        raise TraceError(str(error)) from error
    return Token(vector, vector)


@usage("cancel CUSTOMER at=BRANCH", "The customer hangs up: nobody waits for what is held there any more.")
def _cancel(bank: TellingBank, customer: str, at: int) -> None:
    held = bank.held_for(customer, at)
    if not held:
        raise TraceError(f"nothing of {customer} is held at branch {at}")
    for request in held:
        del bank.waiting[request]
        bank.tell(f"{at} gives up {bank.words_for(request)}")
        bank.step(at, Cancel(request))


# What the network does.


@usage(
    "deliver LINK [NUMBER]",
    "Deliver what is under way on a link: all, or one message, the oldest being 1.",
)
def _deliver(bank: TellingBank, link: Link, number: int | None = None) -> None:
    for letter in _chosen(bank, link, number):
        # What comes before it may have cut the stream that it travelled on.
        if letter in bank.under_way:
            bank.deliver(letter)


@usage("drop LINK [NUMBER]", "Lose all that is under way on a link, or one message.")
def _drop(bank: TellingBank, link: Link, number: int | None = None) -> None:
    for letter in _chosen(bank, link, number):
        bank.drop(letter)
        if bank.is_told(letter):
            bank.tell(f"lost from {letter.sender} to {letter.receiver}: {bank.words_of(letter)}")


@usage("duplicate LINK [NUMBER]", "Have all that is under way on a link, or one message, arrive once more.")
def _duplicate(bank: TellingBank, link: Link, number: int | None = None) -> None:
    for letter in _chosen(bank, link, number):
        bank.duplicate(letter)


def _chosen(bank: TellingBank, link: Link, number: int | None) -> list[Letter]:
    told = bank.told_letters(link)
    if number is not None and number > len(told):
        raise TraceError(f"{len(told)} messages are under way from {link.sender} to {link.receiver}")
    chosen = bank.letters(*link) if number is None else [told[number - 1]]
    if not chosen:
        raise TraceError(f"nothing is under way from {link.sender} to {link.receiver}")
    return chosen


@usage("slow LINK", "What goes this way is under way until `deliver` names the link, chatter too.")
def _slow(bank: TellingBank, link: Link) -> None:
    bank.slow.add(link)


@usage("fast LINK", "The link is as it was before `slow`.")
def _fast(bank: TellingBank, link: Link) -> None:
    if link not in bank.slow:
        raise TraceError(f"the link from {link.sender} to {link.receiver} is not slow")
    bank.slow.discard(link)


@usage("cut LINE", "Break the connection of two branches; what is under way on it is lost.")
def _cut(bank: TellingBank, line: Link) -> None:
    bank.cut_link(*line)


@usage("mend LINE", "Connect two branches again.")
def _mend(bank: TellingBank, line: Link) -> None:
    bank.mend_link(*line)


@usage("stabilize", "Deliver everything, and what follows from it, until nothing is left but on slow links.")
def _stabilize(bank: TellingBank) -> None:
    bank.deliver_all()


@usage("advance DURATION", "Let time pass. Branches do what is due; nothing but chatter is delivered.")
def _advance(bank: TellingBank, duration: int) -> None:
    bank.advance(duration)


# What is shown.


@usage(
    "show SUBJECT [NAME]",
    "Look on: `balances ACCOUNT`, `rights ACCOUNT`, `log BRANCH`, `entries`, `token CUSTOMER`, `held`, "
    "`under-way`, `sources`.",
)
def _show(bank: TellingBank, subject: str, name: str = "") -> None:
    if subject not in SUBJECTS:
        raise TraceError(f"{subject!r} cannot be shown; there are {listed(sorted(SUBJECTS))}")
    for line in SUBJECTS[subject](bank, name):
        bank.tell(line)

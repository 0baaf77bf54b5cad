"""A whole bank in one thread: the test decides what is delivered, in which order, and what time it is.

Does for several replicas what a driver does for one, and keeps the duties that bankbook.core.replica
lists. Decides nothing about banking.

    bank = BankInOneThread(2)
    paid = bank.do(1, Deposit(ANNA, Money(5)))             # branch 1 has answered; branch 2 knows nothing
    query = bank.ask(2, ReadBalance(ANNA), paid.token)     # held there
    bank.deliver_all()
    bank.reply(query).balance                              # 5
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from bankbook.core.clock import Instant
from bankbook.core.commands import SESSION, Command, Freshness, Reply, Request, RequestId
from bankbook.core.guarantees import Guarantee
from bankbook.core.messages import (
    Connected,
    Disconnected,
    Message,
    Received,
    SubscriberGone,
    SubscriberHere,
    ToSubscriber,
)
from bankbook.core.ports import Changes, Genesis, Identity, stores_over
from bankbook.core.replica import Effects, Input, Replica, Settings
from bankbook.core.token import EMPTY, Token
from bankbook.core.types import AccountId, BranchId, CustomerId, Incarnation, Key, Money, Origin
from bankbook.store.memory import MemoryStore

ANNA, BERT = AccountId("anna"), AccountId("bert")
SECOND = 1_000_000
EPOCH_US = 1_700_000_000 * SECOND


class Stream(NamedTuple):
    """What one branch opened to another one, to fetch its logs."""

    subscriber: int
    publisher: int


@dataclass(frozen=True, slots=True, eq=False)
class Letter:
    """A message under way."""

    sender: int
    receiver: int
    message: Message

    @property
    def stream(self) -> Stream:
        if isinstance(self.message, ToSubscriber):
            return Stream(subscriber=self.receiver, publisher=self.sender)
        return Stream(subscriber=self.sender, publisher=self.receiver)


class CommitFailure(Enum):
    """How a commit can fail."""

    NOTHING_KEPT = "refused"
    ALL_KEPT = "in doubt, and the disk has it"


class BankInOneThread:
    """Branches 1 to `count`, connected to each other."""

    def __init__(
        self,
        count: int = 3,
        *,
        opening_balance: int | None = 0,
        settings: Settings = Settings(),  # noqa: B008
    ) -> None:
        self.now_us = SECOND
        self.branches = tuple(range(1, count + 1))
        self.replicas: dict[int, Replica] = {}
        self.stores: dict[int, MemoryStore] = {}
        self.streams: set[Stream] = set()
        self.half_open: set[Stream] = set()
        """Whose publisher died, which the subscriber has not noticed: it reads on what was under way."""
        self.cut: set[frozenset[int]] = set()
        """The links that are down."""
        self.under_way: list[Letter] = []
        self.replies: dict[RequestId, Reply] = {}
        self.waiting: dict[RequestId, int] = {}
        """Where the unanswered requests are."""
        self.lost: list[RequestId] = []
        """Whose branch died, or failed to commit, before it answered."""
        self.failing: dict[int, CommitFailure] = {}
        """The branches whose next commit that has anything to keep fails."""
        self.transcript: list[str] = []
        """The effects of every step."""
        self._settings = settings
        self._genesis = Genesis(
            "test",
            tuple(BranchId(branch) for branch in self.branches),
            Money(opening_balance) if opening_balance is not None else None,
        )
        self._wake_at_us: dict[int, int] = {}
        self._held_back: list[Callable[[Letter], bool]] = []
        self._requests = 0
        self._lives = 0
        for branch in self.branches:
            self.create_store(branch, has_joined=True)
            self.restart(branch)

    # What customers do.

    def ask(  # noqa: PLR0913  (as many as a request has)
        self,
        branch: int,
        command: Command,
        token: Token = EMPTY,
        *,
        freshness: Freshness = SESSION,
        guarantees: Guarantee = Guarantee.ALL,
        within_us: int = 10 * SECOND,
        customer: str = "anna",
        balance_max: int | None = None,
        key: str | None = None,
        durable: int = 0,
        at_hand: bool = False,
    ) -> RequestId:
        """Hand a request to a branch; return its number."""
        self._requests += 1
        request = Request(
            RequestId(self._requests),
            command,
            self.clock(branch).monotonic_us + within_us,
            CustomerId(customer),
            token,
            guarantees,
            freshness,
            key=None if key is None else Key(key),
            durable=durable,
            at_hand=at_hand,
            **({} if balance_max is None else {"balance_max": Money(balance_max)}),
        )
        self.waiting[request.id] = branch
        self.step(branch, request)
        return request.id

    def reply(self, request: RequestId) -> Reply:
        """Return the answer; there has to be one."""
        assert request in self.replies, f"request {request} is held at branch {self.waiting.get(request)}"
        return self.replies[request]

    def do(self, branch: int, command: Command, token: Token = EMPTY, **options: object) -> Reply:
        """Ask, and return the answer that comes at once."""
        return self.reply(self.ask(branch, command, token, **options))  # type: ignore[arg-type]

    def is_held(self, request: RequestId) -> bool:
        return request in self.waiting

    # What the network does.

    def letters(
        self, sender: int | None = None, receiver: int | None = None, kind: type[Message] | None = None
    ) -> list[Letter]:
        """Return what is under way on a link, or of a kind, oldest first."""
        wanted = _that_match(sender, receiver, kind)
        return [letter for letter in self.under_way if wanted(letter)]

    def deliver(self, letter: Letter) -> None:
        self.under_way.remove(letter)
        self.step(letter.receiver, Received(BranchId(letter.sender), letter.message))

    def duplicate(self, letter: Letter) -> None:
        self.under_way.append(Letter(letter.sender, letter.receiver, letter.message))

    def drop(self, letter: Letter) -> None:
        self.under_way.remove(letter)

    def hold_back(
        self, sender: int | None = None, receiver: int | None = None, kind: type[Message] | None = None
    ) -> None:
        """Let `deliver_all` leave these lying until `let_go`."""
        self._held_back.append(_that_match(sender, receiver, kind))

    def let_go(self) -> None:
        self._held_back.clear()

    def deliver_all(self) -> None:
        """Deliver, oldest first, what is not held back, and what follows from it, until nothing is left."""
        while letters := [each for each in self.under_way if not any(held(each) for held in self._held_back)]:
            self.deliver(letters[0])

    def cut_link(self, one: int, other: int) -> None:
        """Cut the streams between two branches, both ways; what is under way on them is lost."""
        self.cut.add(frozenset((one, other)))
        self._break(Stream(one, other))
        self._break(Stream(other, one))

    def mend_link(self, one: int, other: int) -> None:
        self.cut.discard(frozenset((one, other)))
        self._connect(one, other)

    def notice(self, stream: Stream) -> None:
        """Have the subscriber of a half-open stream notice that, and open another one."""
        self._forget_half_open(stream.__eq__)
        self.step(stream.subscriber, Disconnected(BranchId(stream.publisher)))
        self._connect(*stream)

    def greet(self, former: Origin, branch: int) -> None:
        """Have the greeting of a store that is gone arrive late, on a stream that ends thereupon.

        Until it ended it was taken for the one that the branch of that store has there.
        """
        self._break(Stream(subscriber=former.branch, publisher=branch))
        self.step(branch, SubscriberHere(former))
        self.step(branch, SubscriberGone(former.branch))

    def _connect(self, one: int, other: int) -> None:
        if frozenset((one, other)) in self.cut:
            return
        for stream in (Stream(one, other), Stream(other, one)):
            both_run = stream.subscriber in self.replicas and stream.publisher in self.replicas
            if both_run and stream not in self.streams | self.half_open:
                self.streams.add(stream)
                here, there = self.stores[stream.publisher], self.stores[stream.subscriber]
                over = stores_over(here.lives())
                self.step(stream.publisher, SubscriberHere(there.identity.origin, stores_over(there.lives())))
                self.step(
                    stream.subscriber,
                    Connected(BranchId(stream.publisher), here.identity.origin, here.applied(), over),
                )

    def _break(self, stream: Stream) -> None:
        if stream not in self.streams:
            return
        self.streams.remove(stream)
        self.under_way = [letter for letter in self.under_way if letter.stream != stream]
        if stream.subscriber in self.replicas:
            self.step(stream.subscriber, Disconnected(BranchId(stream.publisher)))
        if stream.publisher in self.replicas:
            self.step(stream.publisher, SubscriberGone(BranchId(stream.subscriber)))

    # What machines do.

    def crash(self, branch: int, unnoticed_by: int | None = None) -> None:
        """Kill a branch: only what it has committed is left."""
        del self.replicas[branch]
        self._forget_half_open(lambda stream: stream.subscriber == branch)
        if unnoticed_by is not None:
            self._leave_half_open(Stream(unnoticed_by, branch))
        self._wake_at_us.pop(branch, None)  # none yet where its very first commit failed
        for request in [request for request, place in self.waiting.items() if place == branch]:
            del self.waiting[request]
            self.lost.append(request)
        for other in self.branches:
            self._break(Stream(branch, other))
            self._break(Stream(other, branch))

    def _leave_half_open(self, stream: Stream) -> None:
        self.streams.remove(stream)
        self.half_open.add(stream)
        self.under_way = [
            letter
            for letter in self.under_way
            if letter.stream != stream or letter.receiver == stream.subscriber
        ]

    def _forget_half_open(self, is_meant: Callable[[Stream], bool]) -> None:
        gone = set(filter(is_meant, self.half_open))
        self.half_open -= gone
        self.under_way = [letter for letter in self.under_way if letter.stream not in gone]

    def restart(self, branch: int) -> None:
        """Start a branch from its store, and connect it."""
        self._lives += 1
        store = self.stores[branch]
        first_question = self._lives << 20
        self.replicas[branch] = Replica(
            store.identity, store, self._settings, self.clock(branch), first_question
        )
        self.step(branch)
        for other in self.branches:
            if other != branch:
                self._connect(branch, other)

    def create_store(self, branch: int, *, has_joined: bool = False) -> None:
        """Give a branch an empty store, a new incarnation; what it had before is gone.

        With `has_joined` it does not ask the others first what they know.
        """
        lives = 1 + (self.stores[branch].identity.origin.incarnation >> 8 if branch in self.stores else 0)
        origin = Origin(BranchId(branch), Incarnation((lives << 8) + branch))
        self.stores[branch] = MemoryStore(Identity(origin, self._genesis), has_joined=has_joined)

    def clock(self, branch: int) -> Instant:
        """Return what the clocks of a branch say: far from those of the others, and of the truth."""
        return Instant(self.now_us + branch * 3600 * SECOND, EPOCH_US + self.now_us - branch * 60 * SECOND)

    def pass_time(self, microseconds: int, *, deliver: bool = True) -> None:
        """Let time pass, wake every branch when it asked for it, and deliver what is not held back."""
        until_us = self.now_us + microseconds
        if deliver:
            self.deliver_all()
        while self._wake_at_us:
            at_us, branch = min((at_us, branch) for branch, at_us in self._wake_at_us.items())
            if at_us > until_us:
                break
            self.now_us = max(self.now_us, at_us)
            self.step(branch)
            if deliver:
                self.deliver_all()
        self.now_us = until_us

    def step(self, branch: int, *inputs: Input) -> None:
        """Step one branch, commit, then release: in this order."""
        now = self.clock(branch)
        effects = self.replicas[branch].step(inputs, now)
        assert effects.wake_at_us > now.monotonic_us, "a branch that never sleeps"
        self.transcript.append(f"{branch}: {effects!r}")
        if effects.changes and branch in self.failing:
            if self.failing.pop(branch) is CommitFailure.ALL_KEPT:
                self.commit(branch, effects.changes)
            self.crash(branch)
            self.restart(branch)
            return
        self.commit(branch, effects.changes)
        self._wake_at_us[branch] = effects.wake_at_us - (now.monotonic_us - self.now_us)
        self.release(branch, effects)

    def commit(self, branch: int, changes: Changes) -> None:
        self.stores[branch].commit(changes)

    def release(self, branch: int, effects: Effects) -> None:
        """Hand out the replies, and send the messages whose stream is up."""
        for reply in effects.replies:
            assert reply.request in self.waiting, "a request is answered once"
            del self.waiting[reply.request]
            self.replies[reply.request] = reply
        for receiver, message in effects.messages:
            letter = Letter(branch, receiver, message)
            if letter.stream in self.streams:
                self.under_way.append(letter)


def _that_match(
    sender: int | None, receiver: int | None, kind: type[Message] | None
) -> Callable[[Letter], bool]:
    def matches(letter: Letter) -> bool:
        return (
            sender in (None, letter.sender)
            and receiver in (None, letter.receiver)
            and (kind is None or isinstance(letter.message, kind))
        )

    return matches

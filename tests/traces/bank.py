"""A bank in one thread that tells, line by line, what each of its branches does.

Decides what is worth telling, and which messages are chatter that needs no command to be delivered. Must not
know the command language. Proof: tests/core/test_traces.py.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from bank_in_one_thread import SECOND, BankInOneThread, Letter
from traces.words import (
    command_words,
    duration_words,
    entry_name,
    entry_words,
    listed,
    message_words,
    origin_name,
    reply_words,
    vector_words,
    why_held,
)

from bankbook.core.commands import Command, Reply, RequestId
from bankbook.core.entry import Entry  # noqa: TC001  (as every module imports it)
from bankbook.core.holds import Held
from bankbook.core.messages import (
    Acknowledge,
    Answer,
    AskHead,
    AskKey,
    Entries,
    Forward,
    Head,
    Message,
    Received,
    Subscribe,
    ToSubscriber,
    Unsubscribe,
)
from bankbook.core.ports import Changes
from bankbook.core.replica import Effects, Input, Settings
from bankbook.core.token import Token, TokenCodec, TokenError
from bankbook.core.types import EntryId, Key, Seq
from bankbook.store.memory import MemoryStore  # noqa: TC001  (as every module imports it)
from bankbook.wire import peers


class Link(NamedTuple):
    """One direction between two branches."""

    sender: int
    receiver: int


class Chatter(Enum):
    """What branches say to each other all the time; delivered at once and not told, unless asked for."""

    ACKNOWLEDGEMENTS = "acknowledgements"
    HEARTBEATS = "heartbeats"
    SUBSCRIPTIONS = "subscriptions"


class DiesAt(Enum):
    """The moments of a commit at which a branch can die."""

    BEFORE_COMMIT = "before-commit"
    AFTER_COMMIT = "after-commit"


@dataclass(slots=True)
class Asked:
    """A request under way."""

    customer: str
    command: Command
    sent: frozenset[bytes]
    """The parts of the token that it brought along."""

    @property
    def words(self) -> str:
        return f"{self.customer}'s {command_words(self.command)}"


@dataclass(slots=True)
class Session:
    """One customer's token: the parts that replies brought and no later one has taken the place of."""

    parts: frozenset[bytes] = frozenset()


@dataclass(slots=True)
class Step:
    """What one branch did in the step that is under way."""

    has_changes: bool = False
    waiting: set[EntryId] = field(default_factory=set)
    """The entries that had come, or come now, and were not applied before."""
    applied: set[EntryId] = field(default_factory=set)


def as_transmitted(message: Message) -> object:
    """Return what a message says once it has been encoded and decoded."""
    if isinstance(message, ToSubscriber):
        return peers.decode_from_publisher(peers.encode_for_subscriber(message))
    return peers.decode_from_subscriber(peers.encode_for_publisher(message))


class TellingBank(BankInOneThread):
    """Tells what happens in `lines`; delivers nothing but chatter of its own accord."""

    def __init__(
        self,
        branches: int,
        opening: int | None = 0,
        also: frozenset[Chatter] = frozenset(),
        kept: int | None = None,
    ) -> None:
        self.lines: list[str] = []
        self.lost_disks: dict[int, MemoryStore] = {}
        self.slow: set[Link] = set()
        self.dying: dict[int, DiesAt] = {}
        self.sessions: dict[str, Session] = {}
        self.codec = TokenCodec("test")
        self._told = also
        self._asked: dict[RequestId, Asked] = {}
        self._why_held: dict[int, dict[RequestId, str]] = {}
        """What was told of the requests that each branch holds."""
        self._questions: dict[tuple[int, int], AskHead | Key] = {}
        """By asker and number: what was asked."""
        self._heartbeats: set[tuple[int, int]] = set()
        self._step = Step()
        self._arrived: dict[EntryId, Entry] = {}
        self._kept: dict[int, set[EntryId]] = {}
        """What was told to be kept by each branch until it can be applied."""
        settings = Settings()
        if kept is not None:
            settings = settings._replace(key_retention_us=kept, log_retention_us=kept)
        super().__init__(branches, opening_balance=opening, settings=settings)
        self.deliver_all()
        self.lines.clear()

    def tell(self, line: str) -> None:
        self.lines.append(line)

    # What customers do.

    def request(
        self, branch: int, customer: str, command: Command, encoded: bytes | None, **options: object
    ) -> None:
        """Ask, with the session's token or with another one, as a branch's door does it."""
        session = self.sessions.setdefault(customer, Session())
        sent = session.parts if encoded is None else frozenset({encoded} - {b""})
        try:
            token = self.codec.decode(b"".join(sorted(sent)))
        except TokenError as error:
            self.tell(f"{branch} tells {customer}: INVALID_TOKEN: {error}")
            return
        self._asked[RequestId(self._requests + 1)] = Asked(customer, command, sent)
        self.ask(branch, command, token, customer=customer, **options)  # type: ignore[arg-type]

    def token_of(self, customer: str) -> Token:
        return self.codec.decode(self.encoded_token(customer))

    def encoded_token(self, customer: str) -> bytes:
        return b"".join(sorted(self.sessions[customer].parts))

    def words_for(self, request: RequestId) -> str:
        return self._asked[request].words

    def held_for(self, customer: str, branch: int) -> list[RequestId]:
        """Return the requests of a customer that are held at a branch."""
        return [
            request
            for request, place in self.waiting.items()
            if place == branch and self._asked[request].customer == customer
        ]

    # What the network does.

    def words_of(self, letter: Letter) -> str:
        message = letter.message
        asked = None
        if isinstance(message, Head | Answer):
            asked = self._questions.get((letter.receiver, message.question))
        return message_words(message, asked)

    def chatter_of(self, letter: Letter) -> Chatter | None:
        message = letter.message
        if isinstance(message, Acknowledge):
            return Chatter.ACKNOWLEDGEMENTS
        if isinstance(message, Subscribe | Unsubscribe):
            return Chatter.SUBSCRIPTIONS
        asker = letter.receiver if isinstance(message, Head) else letter.sender
        is_heartbeat = isinstance(message, AskHead | Head) and (asker, message.question) in self._heartbeats
        return Chatter.HEARTBEATS if is_heartbeat else None

    def is_told(self, letter: Letter) -> bool:
        chatter = self.chatter_of(letter)
        return chatter is None or chatter in self._told

    def is_slow(self, letter: Letter) -> bool:
        return Link(letter.sender, letter.receiver) in self.slow

    def told_letters(self, link: Link | None = None) -> list[Letter]:
        """Return what is under way and told of, oldest first."""
        letters = self.letters(*link) if link is not None else self.letters()
        return [letter for letter in letters if self.is_told(letter)]

    def deliver(self, letter: Letter) -> None:
        if self.is_told(letter):
            self.tell(f"{letter.receiver} receives from {letter.sender}: {self.words_of(letter)}")
        super().deliver(letter)

    def deliver_chatter(self) -> None:
        """Deliver all chatter that is not told of, but on slow links."""
        while (chatter := next(filter(self._is_quick_chatter, self.under_way), None)) is not None:
            self.deliver(chatter)

    def _is_quick_chatter(self, letter: Letter) -> bool:
        return not self.is_told(letter) and not self.is_slow(letter)

    def deliver_all(self) -> None:
        """Deliver everything but on slow links, oldest first, until nothing is left."""
        while letters := [each for each in self.under_way if not self.is_slow(each)]:
            self.deliver(letters[0])

    def advance(self, microseconds: int) -> None:
        """Let time pass; deliver chatter only."""
        until_us = self.now_us + microseconds
        while self._wake_at_us:
            at_us, branch = min((at_us, branch) for branch, at_us in self._wake_at_us.items())
            if at_us > until_us:
                break
            self.now_us = max(self.now_us, at_us)
            before, self.lines = self.lines, []
            self.step(branch)
            self.deliver_chatter()
            self.lines = before + self._dated(before)
        self.now_us = until_us

    def _dated(self, before: list[str]) -> list[str]:
        """Return the lines of this moment, below its date where that is not told already."""
        date = f"at {duration_words(self.now_us - SECOND)}:"
        dates = [line for line in before if line.startswith("at ")]
        is_new = bool(self.lines) and (not dates or dates[-1] != date)
        return [date, *self.lines] if is_new else self.lines

    # What machines do.

    def crash(self, branch: int, unnoticed_by: int | None = None, when: str = "") -> None:
        self.tell(f"{branch} dies{when}")
        self._why_held.pop(branch, None)
        super().crash(branch, unnoticed_by)

    def restart(self, branch: int) -> None:
        self.tell(f"{branch} starts, and has {vector_words(self.stores[branch].applied())} on its disk")
        super().restart(branch)

    def lose_disk(self, branch: int) -> None:
        self.lost_disks[branch] = self.stores[branch]
        self.create_store(branch)

    def return_disk(self, branch: int) -> None:
        self.stores[branch], self.lost_disks[branch] = self.lost_disks[branch], self.stores[branch]

    def step(self, branch: int, *inputs: Input) -> None:
        self._step = Step(waiting=self._inbox(branch))
        for each in inputs:
            if isinstance(each, Received) and isinstance(each.message, Entries):
                self._note_arrival(branch, each.message)
        super().step(branch, *inputs)

    def _inbox(self, branch: int) -> set[EntryId]:
        waiting = self.replicas[branch]._logs._inbox._waiting
        return {EntryId(origin, seq) for origin, entries in waiting.items() for seq in entries}

    def _note_arrival(self, branch: int, message: Entries) -> None:
        applied = self.replicas[branch]._context.applied
        for entry in message.entries:
            if applied[entry.origin] >= entry.seq:
                self.tell(f"{branch} has {entry_name(entry.id)} already")
            else:
                self._step.waiting.add(entry.id)
                self._arrived[entry.id] = entry

    def commit(self, branch: int, changes: Changes) -> None:
        self._step.has_changes = bool(changes)
        if self._step.has_changes and self.dying.get(branch) is DiesAt.BEFORE_COMMIT:
            return
        store, dropped = self.stores[branch], self.stores[branch].dropped()
        super().commit(branch, changes)
        for entry in changes.entries:
            verb = "writes" if entry.origin == self.stores[branch].identity.origin else "applies"
            self._step.applied.add(entry.id)
            self.tell(f"{branch} {verb} {entry_name(entry.id)}: {entry_words(entry)}")
        for life, is_over in sorted(changes.lives.items()):
            if is_over:
                self.tell(f"{branch} notes that store {origin_name(life)} was replaced")
        if changes.portion is not None and changes.portion.end is not None:
            self.tell(f"{branch} has the whole copy: {vector_words(store.applied())}")
        elif gone := store.dropped().beyond(dropped):
            self.tell(f"{branch} drops its entries up to {vector_words(gone)}")
        if changes.has_joined:
            self.tell(f"{branch} has joined")

    def release(self, branch: int, effects: Effects) -> None:
        if self._step.has_changes and branch in self.dying:
            moment = self.dying.pop(branch)
            when = "before" if moment is DiesAt.BEFORE_COMMIT else "after"
            self.crash(branch, when=f" {when} its commit")
            return
        self._tell_kept(branch)
        self._tell_holds(branch)
        for reply in effects.replies:
            self._tell_reply(branch, reply)
        before = len(self.under_way)
        super().release(branch, effects)
        for letter in self.under_way[before:]:
            assert as_transmitted(letter.message) == letter.message, "what is sent is what arrives"
            self._note_question(letter)
            if self.is_told(letter):
                self.tell(f"{branch} sends to {letter.receiver}: {self.words_of(letter)}")

    def _note_question(self, letter: Letter) -> None:
        message = letter.message
        if isinstance(message, AskHead | AskKey | Forward):
            name = letter.sender, message.question
            self._questions[name] = message if isinstance(message, AskHead) else message.key
            question = self.replicas[letter.sender]._context.questions._open.get(message.question)
            if isinstance(message, AskHead) and question is not None and question.on_answer is None:
                self._heartbeats.add(name)

    def _tell_kept(self, branch: int) -> None:
        """Tell of entries that cannot be applied yet, and why not, and of those that are given up."""
        inbox, applied = self._inbox(branch), self.replicas[branch]._context.applied
        for name in sorted(self._step.waiting - self._step.applied):
            if name not in inbox:
                self.tell(f"{branch} throws {entry_name(name)} away")
            elif name not in self._kept.get(branch, set()):
                needs = self._arrived[name].dependencies.raised(name.origin, Seq(name.seq - 1))
                missing = (EntryId(gap.origin, gap.needs) for gap in applied.behind(needs))
                until = listed(entry_name(each) for each in missing)
                self.tell(f"{branch} keeps {entry_name(name)} until it has {until}")
        self._kept[branch] = inbox

    def _tell_holds(self, branch: int) -> None:
        replica = self.replicas[branch]
        told, self._why_held[branch] = self._why_held.get(branch, {}), {}
        for held in replica.status().held:
            why = self._why_held[branch][held.request.id] = why_held(held, replica)
            if held.request.id not in told:
                self.tell(f"{branch} holds {self.words_of_held(branch, held)}: {why}")
            elif told[held.request.id] != why:
                self.tell(f"{branch} still holds {self.words_of_held(branch, held)}: {why}")

    def words_of_held(self, branch: int, held: Held) -> str:
        if held.request.id > 0:
            return self._asked[held.request.id].words
        source, _ = self.replicas[branch]._requests._replies_to[held.request.id]
        return f"branch {source}'s {command_words(held.request.command)}"

    def _tell_reply(self, branch: int, reply: Reply) -> None:
        asked = self._asked[reply.request]
        self.tell(f"{branch} tells {asked.customer}: {'; '.join(reply_words(reply, asked.command))}")
        session = self.sessions[asked.customer]
        replied = {self.codec.encode(reply.token)} - {b""}
        session.parts = (session.parts - asked.sent) | replied

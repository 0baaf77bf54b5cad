"""Customers' calls: what stands in the place of gRPC, between the real session and the real handler.

Decides what becomes of a call that gets no answer. Must not know what is asked. Requests and answers go
through the real encodings, both ways. Proof: tests/simulation/test_faults.py, tests/cli/test_simulate.py.
"""

import asyncio
from collections.abc import Callable

from bankbook.client.attempts import DOUBTFUL_S, ClosedError, Missed, checked, no_answer
from bankbook.client.bank import Bank
from bankbook.client.calls import Calls
from bankbook.core.commands import Command
from bankbook.core.outcome import Outcome
from bankbook.server.handler import Call
from bankbook.simulation.branch import Life, SimulatedBranch
from bankbook.simulation.network import Network, Place
from bankbook.wire.commands import AnyRequest, Method, is_in_columns, method_for
from bankbook.wire.replies import Answer, AnyReceipt, decode_answer, encode_answer
from bankbook.wire.requests import Envelope, decode_envelope, encode_request
from bankbook.wire.status import Failure, decode_failure, encode_failure

# How often a customer whose branch does not listen tries to connect.
_CONNECT_EVERY_S = 0.05

Told = AnyReceipt | Failure


class SimulatedChannels:
    """See bankbook.client.attempts.Channels; of customers at one place."""

    def __init__(
        self,
        network: Network,
        place: Place,
        find: Callable[[int], SimulatedBranch],
        on_attempt: Callable[[], int],
        on_answer: Callable[[int, int], None],
    ) -> None:
        """`on_attempt` numbers each attempt; `on_answer` is told its number and branch as it is answered."""
        self.closed = asyncio.Event()
        self._network = network
        self._place = place
        self._find = find
        self._on_attempt = on_attempt
        self._on_answer = on_answer
        self._up: dict[int, Life] = {}
        self._latest = 0
        """The attempt that is under way; an earlier one may still be served where nobody waits any more."""

    async def close(self) -> None:
        """Close every channel."""
        self.closed.set()

    async def attempt(
        self, command: Command, envelope: Envelope, branch: int, deadline: float, wait_s: float | None
    ) -> Answer | Missed:
        """Send a request once, and return what came of it; raises ClosedError."""
        if self.closed.is_set():
            raise ClosedError
        loop = self._network.loop
        patience_s = min(deadline - loop.time(), DOUBTFUL_S if wait_s is None else wait_s)
        life = await self._connect(branch, max(patience_s, 0.0), is_doubted=wait_s is None)
        if life is None:
            detail = f"branch {branch} could not be reached"
            return Missed(Failure(Outcome.BRANCH_UNREACHABLE, detail, branch=branch), was_sent=False)
        name, message = encode_request(command, envelope)
        number = self._latest = self._on_attempt()
        self._network.trace.note("call", f"{number} {self._place} to branch {branch}: {name}")
        told = await self._exchange(life, branch, method_for(command), message, deadline, number)
        outcome = told.outcome.name if isinstance(told, Failure) else type(told).__name__
        self._network.trace.note("call ended", f"{number} {outcome}")
        if isinstance(told, str):
            return Missed(no_answer(command, branch, told), was_sent=True)
        if isinstance(told, Failure):
            return Missed(told, was_sent=True)
        return checked(decode_answer(told), command)

    async def _connect(self, branch: int, patience_s: float, *, is_doubted: bool) -> Life | None:
        """Return the process at the other end; a connection that is up is not looked at again."""
        there, loop = self._find(branch), self._network.loop
        known = self._up.get(branch)
        if known is not None and not known.is_over:
            return known
        until = loop.time() + patience_s
        while loop.time() <= until:
            await asyncio.sleep(2 * self._network.delay_us(self._place, there.place) / 1e6)
            if not self._is_cut(there) and there.life is not None:
                self._up[branch] = there.life
                return there.life
            if not self._is_cut(there) and is_doubted:
                return None  # refused, at once
            await asyncio.sleep(_CONNECT_EVERY_S)
        return None

    def _is_cut(self, there: SimulatedBranch) -> bool:
        network = self._network
        return network.is_cut(self._place, there.place) or network.is_cut(there.place, self._place)

    async def _exchange(  # noqa: C901  (a call's way there and back, in one piece)
        self, life: Life, branch: int, method: Method, message: AnyRequest, deadline: float, number: int
    ) -> Told | str:
        """Return what was told, or in words why nothing was."""
        network, there = self._network, self._find(branch).place
        loop = network.loop
        answered: asyncio.Future[Told | str] = loop.create_future()

        def lose(why: str) -> None:
            self._up.pop(branch, None)
            if not answered.done():
                answered.set_result(why)

        async def there_and_back() -> None:
            if network.draw.random() < network.weather.breaks_calls:
                network.trace.note("call broken", f"{number} on its way")
                loop.call_later(network.delay_us(self._place, there) / 1e6, lose, "the connection broke")
                return
            await network.travel(self._place, there)
            if life.is_over:
                lose("the branch is gone")
                return
            serving = life.serve(self._serve(life, branch, method, message, deadline - loop.time(), number))
            try:
                await asyncio.wait([serving])
            except asyncio.CancelledError:
                serving.cancel()
                raise
            if serving.cancelled():
                return
            if network.draw.random() < network.weather.breaks_calls:
                network.trace.note("answer lost", str(number))
                loop.call_later(network.delay_us(there, self._place) / 1e6, lose, "the connection broke")
                return
            told = serving.result()
            assert isinstance(told, Told), "a branch answers with it"
            await network.travel(there, self._place)
            if not answered.done():
                answered.set_result(told)

        def on_death(_: object) -> None:
            loop.call_later(network.patience_s(there, self._place), lose, "the branch is gone")

        life.ended.add_done_callback(on_death)
        task = loop.create_task(there_and_back())
        try:
            async with asyncio.timeout_at(deadline):
                return await answered
        except TimeoutError:
            return "no answer came in time"
        finally:
            life.ended.remove_done_callback(on_death)
            if not task.done():
                # Also the branch learns, a moment later, that nobody waits any more.
                loop.call_later(network.delay_us(self._place, there) / 1e6, task.cancel)

    async def _serve(
        self, life: Life, branch: int, method: Method, message: AnyRequest, remaining_s: float, number: int
    ) -> Told:
        sent = method.message.FromString(message.SerializeToString())
        call = Call(method.name, max(remaining_s, 0.0), f"call-{number}")
        answer = await life.handler.handle(method.decode(sent), decode_envelope(sent), call)
        if number == self._latest:  # not what a customer who has gone on elsewhere will never hear
            self._on_answer(number, branch)
        if isinstance(answer, Failure):
            told = decode_failure(encode_failure(answer))
            assert told is not None, "what a branch tells can be read"
            return told
        encoded = encode_answer(answer.reply, answer.info, in_columns=is_in_columns(sent))
        return type(encoded).FromString(encoded.SerializeToString())


class SimulatedBank(Bank):
    """The real client, of customers at one place."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

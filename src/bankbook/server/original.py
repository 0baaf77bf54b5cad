"""The Bank service of the original protocol: MsgDelivery, byte for byte.

Decides what the original's strings mean here. A client of it has no token, so all it asks is LATEST for
its customer's account, which keeps read-your-writes for it too. Only a refusal for want of funds is told
as the original tells it, `result: "fail"`; every other failure is a gRPC status, since the original's
answer cannot tell a balance that is not known from one of 0. Proof: tests/server/test_original.py.

    interface     here
    query         the balance of the customer's account, LATEST
    deposit       a deposit, LATEST
    withdraw      a withdrawal, LATEST
    anything else refused; the original's branches told each other updates through this service,
                  bankbook.v1.Replication is for that now
"""

from typing import Any

import grpc
import grpc.aio

from bankbook.core.commands import LATEST, Command, Deposit, ReadBalance, Withdraw
from bankbook.core.outcome import Outcome
from bankbook.core.types import BranchId, CustomerId, Money
from bankbook.server.calls import abort, guarded, request_id_of
from bankbook.server.config import AccountMode, account_of
from bankbook.server.handler import Call, Handler, Success
from bankbook.wire.original import bank_pb2, bank_pb2_grpc
from bankbook.wire.requests import Envelope
from bankbook.wire.status import Failure

# What the original protocol's int32 can tell.
INT32_MAX = Money(2**31 - 1)

_INTERFACES = (
    "there are query, deposit and withdraw. Branches tell each other updates through bankbook.v1.Replication"
)

# Of an interface's name, in the log and in an answer: the longest real one has 8.
_INTERFACE_CHARACTERS_MAX = 40


class OriginalServicer(bank_pb2_grpc.BankServicer):
    """Serves clients of the original protocol."""

    def __init__(self, branch: BranchId, handler: Handler, accounts: AccountMode) -> None:
        self._branch = branch
        self._handler = handler
        self._accounts = accounts

    @guarded
    async def MsgDelivery(
        self,
        request: bank_pb2.BankRequest,
        context: grpc.aio.ServicerContext[bank_pb2.BankRequest, bank_pb2.BankResponse],
    ) -> bank_pb2.BankResponse:
        """Serve one request."""
        customer = CustomerId(str(request.id))
        call = Call(
            f"MsgDelivery/{request.interface[:_INTERFACE_CHARACTERS_MAX]}",
            context.time_remaining(),
            request_id_of(context),
            balance_max=INT32_MAX,
        )
        command = self._command(request, customer)
        if command is None:
            detail = f"there is no interface {request.interface[:_INTERFACE_CHARACTERS_MAX]!r}; {_INTERFACES}"
            await abort(context, self._handler.refuse(Outcome.INVALID_REQUEST, detail, call, customer))
        envelope = Envelope(customer, freshness=LATEST)
        return await self._respond(await self._handler.handle(command, envelope, call), context)

    def _command(self, request: bank_pb2.BankRequest, customer: CustomerId) -> Command | None:
        account = account_of(self._accounts, customer)
        match request.interface:
            case "query":
                return ReadBalance(account)
            case "deposit":
                return Deposit(account, Money(request.money))
            case "withdraw":
                return Withdraw(account, Money(request.money))
            case _:
                return None

    async def _respond(
        self, answer: Success | Failure, context: grpc.aio.ServicerContext[Any, Any]
    ) -> bank_pb2.BankResponse:
        balance = answer.reply.balance if isinstance(answer, Success) else answer.balance
        fits = balance is not None and abs(balance) <= INT32_MAX
        if isinstance(answer, Failure) and not (answer.outcome is Outcome.INSUFFICIENT_FUNDS and fits):
            await abort(context, answer)
        assert balance is not None, "success and want of funds both tell the balance"
        result = "success" if isinstance(answer, Success) else "fail"
        return bank_pb2.BankResponse(result=result, balance=balance, branch=self._branch)

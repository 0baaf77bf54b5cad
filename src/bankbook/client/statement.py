"""A statement, read a page at a time.

Decides whether two pages belong together. Must not know how a page is read.
Proof: tests/client/test_statement.py.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime  # noqa: TC003  (as every module imports it)

from bankbook.core.ports import Position
from bankbook.core.types import Money  # noqa: TC001
from bankbook.wire.replies import StatementLine, StatementPage


class StatementChangedError(Exception):
    """Something that belongs to pages already read arrived meanwhile; read the statement again.

    Another branch decided it before, and this branch did not know it yet: `freshness=LATEST`, and an `end`
    that is past, keep that from happening. Or lines of the next page were kept no longer when it was read.
    """

    def __init__(self, page: StatementPage, following: StatementPage) -> None:
        super().__init__(
            f"what follows in this statement was dropped meanwhile, up to {following.begins}; read it again"
            if following.begins is not None
            else "the pages of this statement do not fit: one ends with a balance of "
            f"{page.closing}, the next begins with {following.opening}. An older entry arrived meanwhile; "
            "read it again, with freshness=LATEST"
        )


class Statement:
    """The lines of a statement; every iteration reads it anew.

    async for line in statement:
        print(line.time, line.amount, line.balance)
    """

    def __init__(self, read: Callable[[Position | None], Awaitable[StatementPage]]) -> None:
        self._read = read
        self.opening: Money | None = None
        """The balance before the first line; None until the first page has been read."""
        self.begins: datetime | None = None
        """Where earlier lines were asked for, and are kept no longer: the moment at which it begins."""
        self.closing: Money | None = None
        """The balance after the last line; None until the last page has been read."""

    async def page_after(self, page: StatementPage | None) -> StatementPage | None:
        """Return the page behind `page`, or the first one; None behind the last.

        Raises BankbookError, StatementChangedError.
        """
        if page is None:
            self.closing = None
            following = await self._read(None)
            self.opening, self.begins = following.opening, following.begins
        elif page.next_page is None:
            return None
        else:
            following = await self._read(page.next_page)
            if following.opening != page.closing or following.begins is not None:
                raise StatementChangedError(page, following)
        if following.next_page is None:
            self.closing = following.closing
        return following

    async def __aiter__(self) -> AsyncIterator[StatementLine]:
        page = await self.page_after(None)
        while page is not None:
            for line in page.lines:
                yield line
            page = await self.page_after(page)

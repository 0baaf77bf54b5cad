"""Where a history is written to while it happens: a file, or memory.

Decides when a line is on its way to the disk, and what becomes of a file that cannot be written. Must not
know who asks a bank for what (bankbook.client.recorder), nor what stands in a line (lines.py).
Proof: tests/history/test_writer.py.

A request is in the file before it is sent. Whoever is killed with requests under way leaves a file in which
these stand without an answer, and not one in which a write is seen that nobody asked for.
"""

import threading
from pathlib import Path
from typing import IO, Protocol

from bankbook.history.lines import asked_line, header_line, item_line
from bankbook.history.record import Header, History, Item, Operation


class Sink(Protocol):
    """Where a history is written to."""

    def begin(self, header: Header) -> None:
        """Note what the bank is: before anything else, and once."""
        ...

    def ask(self, operation: Operation) -> None:
        """Note a request that is going to be sent. Raises OSError: then it must not be."""
        ...

    def write(self, item: Item) -> None:
        """Note an operation that ended or was given up on, a fault, or an end."""
        ...

    def close(self) -> None:
        """Nothing comes any more."""
        ...


class HistoryFile:
    """A history on the disk, line by line; safe for several threads."""

    def __init__(self, path: Path) -> None:
        """Make the file. Raises FileExistsError where there is one: what was recorded is not written over."""
        self.path = path
        try:
            self._file: IO[str] = path.open("x", encoding="utf-8")
        except FileExistsError:
            message = f"{path} exists; remove it, or record this history into another file"
            raise FileExistsError(message) from None
        self._lock = threading.Lock()
        self._problem: OSError | None = None

    def begin(self, header: Header) -> None:
        """Write the first line. Raises OSError."""
        self._put(header_line(header))
        self._complain()

    def ask(self, operation: Operation) -> None:
        """Write down a request before it is sent. Raises OSError, also where an earlier line failed."""
        self._complain()
        self._put(asked_line(operation))
        self._complain()

    def write(self, item: Item) -> None:
        """Write a line. One that cannot be written is told with the next request, and ends the recording."""
        self._put(item_line(item))

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        with self._lock:
            self._file.close()

    def _put(self, line: str) -> None:
        """Hand a line to the operating system: it outlives this process, however that ends."""
        with self._lock:
            # Behind half a line nothing can be read any more; and of a closed file nobody expects anything.
            if self._problem is not None or self._file.closed:
                return
            try:
                self._file.write(line)
                self._file.flush()
            except OSError as problem:
                self._problem = problem

    def _complain(self) -> None:
        if self._problem is not None:
            message = (
                f"the history {self.path} cannot be written ({self._problem.strerror}), so nothing is asked"
            )
            raise OSError(self._problem.errno, message) from self._problem


class Kept:
    """A history in memory."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.items: list[Item] = []
        """In the order in which they ended."""

    def begin(self, header: Header) -> None:
        """Keep the header."""
        self.header = header

    def ask(self, operation: Operation) -> None:
        """Do nothing: memory that is lost keeps no requests either."""

    def write(self, item: Item) -> None:
        """Keep it."""
        self.items.append(item)

    def close(self) -> None:
        """Do nothing."""

    def history(self) -> History:
        """Return what was kept. Not before it began."""
        assert self.header is not None, "it began"
        return History(self.header, self.items)

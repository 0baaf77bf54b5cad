"""A trace file: remarks, and commands with what they are expected to tell.

Decides the format, and how a file is written anew. Must not know the commands.
Proof: tests/core/test_traces.py.

    # A remark; blank lines are free.
    deposit anna x 50 at=1
    ----
    1 writes 1#1: deposit x +50

Several commands may stand above one `----`; indented lines below a command are its input. What is expected
goes on until a blank line; a line of it that is too long goes on below, indented.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import unified_diff
from itertools import chain
from pathlib import Path
from textwrap import wrap

from traces.commands import Interpreter, Line
from traces.language import TraceError

SEPARATOR = "----"
WIDTH = 110
NOTHING_TOLD = "ok"


@dataclass(slots=True)
class Block:
    """Commands, and what they are expected to tell; or a remark, which is kept as it is."""

    number: int
    """Of its first line, from 1."""
    lines: list[str] = field(default_factory=list)
    """The commands with their input, or the remark."""
    is_remark: bool = False


def run_anew(path: Path) -> str:
    """Carry out a trace and return what its file should say. Raises TraceError, with file and line."""
    interpreter = Interpreter()
    written: list[str] = []
    for block in _blocks(path):
        written += block.lines
        if not block.is_remark:
            written += [SEPARATOR, *_told(interpreter, path, block)]
    return "\n".join(written).rstrip() + "\n"


def difference(path: Path) -> str:
    """Return how the file differs from what happens now; empty where it does not. Raises TraceError."""
    before, now = path.read_text().splitlines(keepends=True), run_anew(path).splitlines(keepends=True)
    return "".join(unified_diff(before, now, path.name, "as it happens now"))


def _told(interpreter: Interpreter, path: Path, block: Block) -> list[str]:
    told: list[str] = []
    for number, line in _commands(block):
        place = f"{path.name}:{number}"
        try:
            told += interpreter.run(line)
        except TraceError as error:
            raise TraceError(f"{place}: {error}") from error
        except Exception as error:
            error.add_note(f"{place}: {line.text}")
            raise
    wrapped = (wrap(line, WIDTH, subsequent_indent="    ", break_on_hyphens=False) for line in told)
    return list(chain.from_iterable(wrapped)) or [NOTHING_TOLD]


def _commands(block: Block) -> Iterator[tuple[int, Line]]:
    """Yield each command of a block with its input, and the number of its line."""
    for index, text in enumerate(block.lines):
        if not text.startswith(" "):
            rest = block.lines[index + 1 :]
            end = next((at for at, line in enumerate(rest) if not line.startswith(" ")), len(rest))
            yield block.number + index, Line(text, tuple(line.strip() for line in rest[:end]))


def _blocks(path: Path) -> Iterator[Block]:
    """Take a file apart; what was expected so far is left out."""
    block: Block | None = None
    is_expected = False
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if is_expected and line:
            continue
        is_expected = False
        if block is None:
            if not line or line.startswith("#"):
                yield Block(number, [line], is_remark=True)
                continue
            if line.startswith(" "):
                raise TraceError(f"{path.name}:{number}: a line of input stands below its command")
            block = Block(number)
        if line == SEPARATOR:
            if not block.lines:
                raise TraceError(f"{path.name}:{number}: no command stands above this {SEPARATOR}")
            yield block
            block, is_expected = None, True
        elif not line or line.startswith("#"):
            break
        else:
            block.lines.append(line)
    if block is not None:
        raise TraceError(f"{path.name}:{block.number}: {SEPARATOR} is missing below this command")

"""A process that learns, as a command does: for tests of two commands at once."""

from multiprocessing.synchronize import Barrier
from pathlib import Path

from bankbook.cli.token_file import TokenFile
from bankbook.client import SessionToken

ROUNDS = 25


def learn_at_once(path: Path, name: str, together: Barrier) -> None:
    """In each round, be answered to what both had sent, at the same moment as the other."""
    file = TokenFile(path)
    for number in range(ROUNDS):
        sent = file.read()
        together.wait()
        file.learn(sent, SessionToken([f"{name}{number}".encode()]))
        together.wait()

"""Where a customer's token waits between two commands: their bankbook, in a file.

Decides where it is, and how two commands at the same time merge what they learn. Must not know what is in
a token. Proof: tests/cli/test_token_file.py.

One part of the token on each line. A command replaces the parts that it sent by the one it was answered
with, which covers them; what others learned meanwhile stays. So nothing known is lost, and the file does
not grow.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bankbook.client import SessionToken


class TokenFileError(Exception):
    """The file cannot be used; the message says what to do."""


def default_path(cluster: str, customer: str) -> Path:
    """Return where the token of a customer of a bank is kept where nobody says otherwise."""
    # The XDG base directory specification: a relative path there is to be ignored.
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    base = state if state.is_absolute() else Path.home() / ".local" / "state"
    return base / "bankbook" / cluster / f"{customer}.token"


class TokenFile:
    """One file. Every method raises TokenFileError where the disk or its content does not allow it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> SessionToken:
        """Return the token; an empty one where there is no file yet."""
        try:
            lines = self.path.read_text(encoding="utf-8").split()
            return SessionToken(part for line in lines for part in SessionToken.from_text(line).parts)
        except FileNotFoundError:
            return SessionToken()
        except ValueError as error:
            raise TokenFileError(
                f"{self.path} does not hold a session token; `bankbook forget` removes it, and the next "
                "command starts a new session"
            ) from error
        except OSError as error:
            raise self._unusable(error) from error

    def learn(self, sent: SessionToken, learned: SessionToken) -> None:
        """Put what was answered in the place of what was sent."""
        try:
            with self._locked():
                self._write(SessionToken((self.read().parts - sent.parts) | learned.parts))
        except OSError as error:
            raise self._unusable(error) from error

    def forget(self) -> bool:
        """Remove the file; return whether there was one."""
        try:
            if not self.path.exists():
                return False
            with self._locked():
                self.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let no other command change the file meanwhile.

        The lock is on a file beside it, since the file itself is replaced by each that writes it.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        number = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            yield
        finally:
            os.close(number)

    def _write(self, token: SessionToken) -> None:
        """Write whole or not at all, and onto the disk: a token that is lost is a promise that is lost."""
        lines = [f"{SessionToken([part])}\n" for part in sorted(token.parts)]
        number, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")  # mode 0600
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _unusable(self, error: OSError) -> TokenFileError:
        return TokenFileError(
            f"the session's token cannot be kept in {self.path}: {error.strerror}; choose another place with "
            "--token-file"
        )

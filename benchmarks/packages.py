"""Programs that are here, or are unpacked from Debian's packages.

Decides where a program is looked for, and how a missing one comes here: its packages, and the libraries that
these need and this machine lacks, are downloaded and unpacked into build/alternatives. Nothing is installed:
no service begins to run, no user and no cluster is made, apt's own folders stay as they are, and it takes no
root. `make clean` removes all of it. Must not know what the programs are for.
Proof: tests/alternatives/test_packages.py.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from benchmarks.cases import BenchmarkError

UNPACKED = Path(__file__).parents[1] / "build" / "alternatives"

# The program → the package that has it. Debian's PostgreSQL keeps several versions beside each other.
PACKAGES = {
    "postgres": "postgresql-15",
    "initdb": "postgresql-15",
    "pgbench": "postgresql-15",
    "etcd": "etcd-server",
    "redis-server": "redis-server",
    "redis-benchmark": "redis-tools",
}

_LIST = "packages.txt"

_FOLDERS = ("usr/lib/postgresql/15/bin", "usr/bin", "bin")


def find(program: str) -> Path | None:
    """Return where a program is; None where it is not."""
    places = [root / folder for root in (Path("/"), UNPACKED) for folder in _FOLDERS]
    found = shutil.which(program, path=os.pathsep.join(map(str, places))) or shutil.which(program)
    return None if found is None else Path(found)


def require(program: str) -> str:
    """Return where a program is. Raises BenchmarkError."""
    found = find(program)
    if found is None:
        raise BenchmarkError(
            f"{program} is missing; make bench fetches it, or: apt-get install {PACKAGES[program]}"
        )
    return str(found)


def missing(programs: Iterable[str]) -> list[str]:
    """Return the packages that have to come here, sorted."""
    return sorted({PACKAGES[program] for program in programs if find(program) is None})


def libraries() -> dict[str, str]:
    """Return the environment in which unpacked programs find unpacked libraries."""
    folders = [str(path.parent) for path in sorted(UNPACKED.glob("usr/lib/*/lib*.so.*"))]
    already = [path for path in (os.environ.get("LD_LIBRARY_PATH"),) if path]
    return {"LD_LIBRARY_PATH": os.pathsep.join([*dict.fromkeys(folders), *already])} if folders else {}


def unpacked() -> list[str]:
    """Return the packages that were unpacked here, now or before, with their versions."""
    try:
        return (UNPACKED / _LIST).read_text().splitlines()
    except FileNotFoundError:
        return []


def unpack(packages: Sequence[str]) -> None:
    """Download and unpack packages, and what they need. Raises BenchmarkError."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise BenchmarkError(
            f"{' and '.join(packages)}: missing, and there is no apt-get here to fetch them with; install "
            "them by other means so that they are on the PATH, or leave the systems out with --only"
        )
    state = UNPACKED / "apt"
    archives = state / "cache" / "archives"
    for folder in (state / "lists" / "partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    _apt(state, "update")
    _apt(state, "install", "--yes", "--no-install-recommends", "--download-only", *packages)
    fetched = sorted(archives.glob("*.deb"))
    for archive in fetched:
        _run(["dpkg-deb", "--extract", str(archive), str(UNPACKED)])
    names = {*unpacked(), *(_told_by(archive) for archive in fetched)}
    (UNPACKED / _LIST).write_text("".join(f"{name}\n" for name in sorted(names)))
    shutil.rmtree(state)


def _apt(state: Path, *order: str) -> None:
    """Run apt-get with folders of our own; what is installed already, it knows from the system."""
    settings = {
        "Dir::State": str(state),
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": str(state / "cache"),
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": pwd.getpwuid(os.geteuid()).pw_name,
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _run(["apt-get", "--quiet", *options, *order])


def _told_by(archive: Path) -> str:
    shown = _run(["dpkg-deb", "--show", "--showformat", "${Package} ${Version}", str(archive)])
    return shown.strip()


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise BenchmarkError(f"{command[0]} failed with exit status {done.returncode}:\n{said}")
    return done.stdout


def main() -> None:
    """Unpack all that is missing here, as the tests of the alternatives need it (make alternatives)."""
    lacking = missing(PACKAGES)
    if lacking:
        click.echo(f"unpacking {', '.join(lacking)} into {UNPACKED}")
        unpack(lacking)


if __name__ == "__main__":
    main()

"""Generate the code for src/bankbook/wire/**/*.proto, or check that it is current (--check)."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import google.rpc

SOURCE = Path(__file__).resolve().parent.parent / "src"
WIRE = SOURCE / "bankbook" / "wire"


def main() -> int:
    """Generate into the tree; with --check, elsewhere, and name every file that differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where code is stale")
    if not parser.parse_args().check:
        generate(SOURCE)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = sorted(differing(Path(folder)))
    for path in stale:
        sys.stderr.write(f"{path} is not what `make proto` generates from its .proto file\n")
    return 1 if stale else 0


def generate(target: Path) -> None:
    """Run protoc for every .proto file, into `target`."""
    protos = [str(path) for path in sorted(WIRE.rglob("*.proto"))]
    outputs = [f"--{kind}_out={target}" for kind in ("python", "grpc_python")]
    outputs += [f"--{kind}_out=quiet:{target}" for kind in ("mypy", "mypy_grpc")]
    environment = {"PATH": str(Path(sys.executable).parent) + ":/usr/bin:/bin"}
    paths = [f"--proto_path={path}" for path in (SOURCE, Path(google.rpc.__path__[0]).parent.parent)]
    command = [sys.executable, "-m", "grpc_tools.protoc", *paths, *outputs, *protos]
    subprocess.run(command, check=True, env=environment)


def differing(generated: Path) -> set[Path]:
    """Return the generated files, relative to src, that the tree lacks, has otherwise, or has too many."""
    fresh = {path.relative_to(generated) for path in generated.rglob("*_pb2*")}
    present = {
        path.relative_to(SOURCE) for path in WIRE.rglob("*_pb2*.py*") if path.suffix in {".py", ".pyi"}
    }
    return (fresh ^ present) | {
        path for path in fresh & present if (generated / path).read_bytes() != (SOURCE / path).read_bytes()
    }


if __name__ == "__main__":
    sys.exit(main())

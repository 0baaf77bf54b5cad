"""A program that launches a bank and waits to be killed: `python -m server.launch_and_wait FOLDER`."""

import signal
import sys
from pathlib import Path

from server.processes import configs_of

from bankbook.server.launcher import Launcher

if __name__ == "__main__":
    with Launcher(configs_of(4, Path(sys.argv[1]))) as launcher:
        launcher.start()
        print(*(launcher.pid(branch) for branch in launcher.addresses), flush=True)  # noqa: T201
        signal.pause()

"""What the original system's script of this name did: the same as `bankbook branches`."""

import sys

if __name__ == "__main__":
    try:
        from bankbook.cli import main
    except ModuleNotFoundError:
        sys.exit(
            "Bankbook is not installed for this Python. Once `make run` has installed it, type "
            "`.venv/bin/python run_branch.py`."
        )
    main(["branches", *sys.argv[1:]])

"""`python -m bankbook` is `bankbook`."""

from bankbook.cli import main

if __name__ == "__main__":
    main()

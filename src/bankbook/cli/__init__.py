"""The commands a person types.

    app          the group of commands, and what their errors look like
    options      options that several commands share, and the values people write
    run          a scenario from its start to its verdict
    branches     a scenario's branches, until stopped
    customers    a scenario's customers, at branches that run already
    check        a verdict on an output
    report       what a person, or a program, is told of a run

This module imports nothing before it must: every branch process imports its parent's main module.
"""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and exit with its status."""
    from bankbook.cli.app import app  # noqa: PLC0415  (see above)

    app.main(arguments, prog_name="bankbook")

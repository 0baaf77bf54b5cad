"""`bankbook completion`: what a shell needs to complete commands, options and branches.

Decides which branches are offered; click knows the shells. Proof: tests/cli/test_completion.py.
"""

from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from bankbook.cli.ending import COULD_NOT_RUN, fail
from bankbook.server.bank_file import FILE_NAME, BankFileError, read_bank_file

SHELLS = ("bash", "zsh", "fish")

# Click's own: a command's name in capitals, and what it adds.
_VARIABLE = "_BANKBOOK_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete bankbook's commands, options and branches with the Tab key.

    For bash, put this line into ~/.bashrc; for zsh, into ~/.zshrc: eval "$(bankbook completion bash)". For
    fish: bankbook completion fish > ~/.config/fish/completions/bankbook.fish
    """
    found = get_completion_class(shell)
    assert found is not None, "click knows the shells that are offered"
    try:
        click.echo(found(context.find_root().command, {}, "bankbook", _VARIABLE).source())
    except RuntimeError as error:  # a bash that is too old to complete, such as Apple's
        fail(str(error), COULD_NOT_RUN, as_json=False)


def complete_branches(
    context: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the branches in the bank's file whose number begins so; none where there is no such file."""
    try:
        bank = read_bank_file(Path(context.params.get("config") or FILE_NAME))
    except BankFileError:
        return []
    return [
        CompletionItem(str(branch), help=address)
        for branch, address in bank.addresses.items()
        if str(branch).startswith(incomplete)
    ]

"""``ups completion``: the script with which a shell completes commands and options."""

import click
from click.shell_completion import get_completion_class

__all__ = ["command"]

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print a script with which SHELL completes UPS's commands and options.

    Put the line for your shell into ~/.bashrc or ~/.zshrc, or for fish into ~/.config/fish/config.fish.

    \b
    Example:
      eval "$(ups completion bash)"
      eval "$(ups completion zsh)"
      ups completion fish | source
    """
    from ups.cli import command as ups

    completion = get_completion_class(shell)
    assert completion is not None, f"click completes {_SHELLS}"
    click.echo(completion(ups, {}, "ups", "_UPS_COMPLETE").source())

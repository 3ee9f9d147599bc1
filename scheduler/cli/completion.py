"""completion: a script that lets the shell complete commands and options."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of SHELL; put it where your shell looks, or eval it."""
    from click.shell_completion import get_completion_class

    from scheduler.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "launchday", "_LAUNCHDAY_COMPLETE").source())
    return 0

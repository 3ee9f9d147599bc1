"""The command `launchday`: finds the command, runs it, turns every error into a sentence.

Imports nothing heavy: `--help` must not load the database, HTTP or the waker.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from scheduler import __version__
from scheduler.errors import FilesWrong, LaunchdayError

# command -> (section, module below scheduler.cli, one line): --help imports no command.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "init": ("start", "files", "Make a workspace that passes check."),
    "rehearse": ("start", "rehearse", "Run the whole launch against simulated platforms."),
    "doctor": ("start", "doctor", "Check clock, disk, database, secrets and daemon; one fix per line."),
    "completion": ("start", "completion", "Print a shell's completion script."),
    "schema": ("start", "files", "Print the JSON Schema of a file, for editors."),
    "check": ("write", "files", "Read the files and say what is wrong, with file:line:col."),
    "preview": ("write", "files", "Show posts as the public will see them."),
    "explain": ("write", "files", "Explain an error code."),
    "plan": ("schedule", "schedule", "Show what queueing would add, change and withdraw."),
    "queue": ("schedule", "schedule", "Render, freeze and store the deliveries."),
    "list": ("schedule", "listing", "List deliveries."),
    "show": ("schedule", "listing", "Show one delivery whole: words, approvals, attempts, log."),
    "timeline": ("schedule", "listing", "Show the waves in order of time."),
    "move": ("schedule", "schedule", "Move a wave to a later time."),
    "approve": ("decide", "decide", "Approve deliveries, bound to their exact bytes and time."),
    "reject": ("decide", "decide", "Reject deliveries, with a reason."),
    "hold": ("decide", "stops", "Stop what waits: everything, a campaign, an organisation …"),
    "release": ("decide", "stops", "End a hold."),
    "cancel": ("decide", "stops", "Take deliveries out before they are published."),
    "ack": ("decide", "notices", "Say that you have seen to a notice, so that nobody else is called."),
    "retract": ("decide", "answers", "Remove what is published, and look whether it is gone."),
    "resolve": ("decide", "answers", "Answer for a delivery that only a person can tell."),
    "retry": ("decide", "answers", "Let what failed or was missed be tried again."),
    "run": ("run", "running", "Publish what is approved and due (simulation unless live)."),
    "watch": ("run", "watch", "Watch the launch board."),
    "status": ("run", "running", "Answer 'is it alright?' in one screen."),
    "service": ("run", "service", "Print or install the systemd unit of the daemon."),
    "notices": ("run", "notices", "List what people were told, or have still to be told."),
    "backup": ("run", "keeping", "Copy the database into a file, while the daemon runs."),
    "restore": ("run", "keeping", "Put a backup in the database's place, into safe mode."),
    "upgrade": ("run", "keeping", "Bring an older database up to date; makes a backup first."),
    "log": ("audit", "log", "Read the posting log; `log verify` checks it."),
    "audit": ("audit", "audit", "Ask the posting log an auditor's question."),
}
SECTIONS = ("start", "write", "schedule", "decide", "run", "audit")


@dataclass(slots=True)
class Settings:
    """What the root options say; each command gets it as `ctx.obj`."""

    workspace: Path
    mode: str = ""  # "" = what accounts.yaml says; simulation or rehearsal where an option asks for it


class Commands(click.Group):
    """Loads a command's module only when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command's module and return its command object (`name`, or `name_`)."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"scheduler.cli.{COMMANDS[name][1]}")
        # `show_` first: the module that has the command `show` also imports a module of that name.
        found = getattr(module, f"{name}_", None) or getattr(module, name)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Say 'did you mean' for a mistyped command."""
        if args and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else " See: launchday --help"
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands by section, without importing any."""
        for section in SECTIONS:
            rows = [(name, line) for name, (at, _, line) in COMMANDS.items() if at == section]
            with formatter.section(section.capitalize()):
                formatter.write_dl(rows)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="launchday")
@click.option(
    "-C", "--workspace", type=click.Path(path_type=Path), default=Path(), help="Folder with accounts.yaml."
)
@click.option(
    "--simulation",
    "mode",
    flag_value="simulation",
    help="Use the simulation's database, also where mode is live.",
)
@click.option("--rehearsal", "mode", flag_value="rehearsal", help="Look at the last rehearsal.")
@click.pass_context
def cli(ctx: click.Context, workspace: Path, mode: str | None) -> None:
    """Carry an approved campaign from files to a launch, once per account, on time."""
    ctx.obj = Settings(workspace=workspace, mode=mode or "")


def main() -> None:
    """Run the command; print one sentence and what to do next for every error."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as we live
    debug, stdout = os.environ.get("LAUNCHDAY_DEBUG") == "1", sys.stdout
    try:
        code = cli.main(standalone_mode=False, prog_name="launchday")
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as left:
        sys.exit(left.exit_code)
    except click.UsageError as wrong:
        wrong.show()
        sys.exit(2)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(wrong.exit_code)
    except SystemExit as left:
        # Where the reader (head, less) went away, click replaces stdout and ends with 1: that is no error.
        sys.exit(left.code if sys.stdout is stdout else 0)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The same, noticed by our own flush; the interpreter must not flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except FilesWrong as wrong:
        from scheduler.cli.show import problems

        problems(wrong.problems, to_stderr=True)
        sys.exit(wrong.exit_code)
    except LaunchdayError as wrong:
        _say(wrong.message, wrong.help)
        sys.exit(wrong.exit_code)
    except Exception as unexpected:
        if debug:
            raise
        _unexpected(unexpected)
        sys.exit(1)


def _say(message: str, help: str) -> None:
    from scheduler.cli.show import say

    say(f"error: {message}")
    if help:
        say(f"  = help: {help}")


def _unexpected(error: Exception) -> None:
    """Known trouble of the machine in plain words; the rest as a bug, still without a traceback."""
    import errno

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        _say("the disk is full; nothing was changed", "free some space, then give the command again")
    elif isinstance(error, OSError) and error.errno == errno.EROFS:
        _say(f"the disk is read-only: {error.filename}", "make it writable, then give the command again")
    elif isinstance(error, PermissionError):
        _say(f"not allowed: {error.filename}", "check who owns the file, then give the command again")
    elif type(error).__module__.startswith("sqlalchemy"):
        _say(_database(error), "launchday doctor")
    else:
        _say(
            f"this should not have happened: {type(error).__name__}: {str(error)[:200]}",
            "set LAUNCHDAY_DEBUG=1 to see where, and report it; launchday status says where things stand",
        )


def _database(error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error).splitlines()[0]
    if "locked" in text:
        return "the database is busy; nothing was changed"
    if "full" in text:
        return "the disk is full; nothing was changed"
    if "readonly" in text:
        return "the database is read-only; nothing was changed"
    if "malformed" in text or "not a database" in text:
        return "the database is damaged; nothing was sent"
    return f"the database answered: {text}"

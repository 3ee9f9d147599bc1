"""Units for systemd: the daemon under a watchdog, and the timer of its independent observer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.domain.account import Directory
from scheduler.errors import UsageError

# Longer than a tick that waits for a busy database (20 s), several times over.
WATCHDOG = 120  # seconds
# A wave that has begun is finished first: replies are waited for 30 s, telling people 45 s.
STOP = 300  # seconds
FILES = 16_384  # open files at least; a wave opens one connection for each delivery (transport/room)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the units are for. `credentials` is the folder where secrets of `cred:` lie, one file each.

    `user`: for a user's own systemd; `run_as`: whose processes they are otherwise.
    """

    name: str
    root: Path
    directory: Directory
    arguments: Sequence[str] = ()
    user: bool = False
    run_as: str = ""
    credentials: str = ""
    writable: Sequence[Path] = ()


def units(wanted: Wanted, *, timer: bool) -> dict[str, str]:
    """File name → content. Raises UsageError for a path that no unit can hold."""
    for path in (wanted.root, Path(sys.executable), *wanted.writable):
        if any(ord(c) < 32 for c in str(path)):
            raise UsageError("a path with a line break cannot stand in a unit", help="rename the folder")
    found = {f"{wanted.name}.service": _daemon(wanted)}
    if timer:
        found[f"{wanted.name}-watch.service"] = _watch(wanted)
        found[f"{wanted.name}-watch.timer"] = _timer(wanted)
    return found


def _daemon(wanted: Wanted) -> str:
    return _unit(
        [
            "[Unit]",
            f"Description=Launchday publishes what is approved and due in {escaped(str(wanted.root))}",
            "Wants=network-online.target time-sync.target",
            "After=network-online.target time-sync.target postgresql.service",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=notify",
            "NotifyAccess=main",
            f"ExecStart={_command(wanted, 'run', *wanted.arguments)}",
            f"WatchdogSec={WATCHDOG}",
            "Restart=on-failure",
            "RestartSec=5",
            "# Only the daemon is asked to stop: it finishes a wave in hand. What is left is killed then.",
            "KillMode=mixed",
            f"TimeoutStopSec={STOP}",
            "TimeoutStartSec=120",
            f"LimitNOFILE={max(FILES, 2 * len(wanted.directory.accounts) + 1024)}",
            "MemoryMax=2G",
            *_place(wanted),
            "",
            "[Install]",
            f"WantedBy={'default.target' if wanted.user else 'multi-user.target'}",
        ]
    )


def _watch(wanted: Wanted) -> str:
    mode = [] if "--live" in wanted.arguments else ["--simulation"]
    return _unit(
        [
            "[Unit]",
            f"Description=Launchday's observer: tells people what is wrong in {escaped(str(wanted.root))}",
            "Wants=network-online.target",
            "After=network-online.target",
            "",
            "[Service]",
            "Type=oneshot",
            f"ExecStart={_command(wanted, *mode, 'doctor', '--watch', '--once')}",
            "TimeoutStartSec=180",
            "MemoryMax=512M",
            *_place(wanted),
        ]
    )


def _timer(wanted: Wanted) -> str:
    return _unit(
        [
            "[Unit]",
            "Description=Launchday's observer, every minute",
            "",
            "[Timer]",
            "OnBootSec=1min",
            "OnUnitInactiveSec=1min",
            "AccuracySec=5s",
            "",
            "[Install]",
            "WantedBy=timers.target",
        ]
    )


def _place(wanted: Wanted) -> list[str]:
    """Where and as whom it runs, with which secrets, and what it may not do."""
    lines = [f"WorkingDirectory={escaped(str(wanted.root))}", "UMask=0077", "Environment=PYTHONUNBUFFERED=1"]
    if wanted.run_as and not wanted.user:
        lines.insert(0, f"User={wanted.run_as}")
    lines += [f"LoadCredential={name}:{wanted.credentials}/{name}" for name in credentials(wanted.directory)]
    writable = " ".join(quoted(str(path)) for path in wanted.writable)
    lines += [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        f"ReadWritePaths={writable}",
        "PrivateTmp=yes",
        "LockPersonality=yes",
        "RestrictSUIDSGID=yes",
        "RestrictRealtime=yes",
        "RestrictNamespaces=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallErrorNumber=EPERM",
        "# Not MemoryDenyWriteExecute: the sender's kernel timer goes through ctypes, which needs it.",
    ]
    if not wanted.user:  # a user's own systemd may not take these away
        lines += [
            "CapabilityBoundingSet=",
            "PrivateDevices=yes",
            "ProtectControlGroups=yes",
            "ProtectHostname=yes",
            "ProtectKernelLogs=yes",
            "ProtectKernelModules=yes",
            "ProtectKernelTunables=yes",
        ]
    return lines


def credentials(directory: Directory) -> list[str]:
    """The names of every `cred:` reference, in file order."""
    return [name for kind, name in _references(directory) if kind == "cred"]


def elsewhere(directory: Directory) -> list[str]:
    """References that a unit cannot carry: the environment and keyrings of people."""
    return [f"{kind}:{name}" for kind, name in _references(directory) if kind in ("env", "keyring")]


def _references(directory: Directory) -> list[tuple[str, str]]:
    every = [a.secret for a in directory.accounts] + list(directory.notify.secrets)
    every += [p.apprise for p in directory.people.values()]
    parts = [one.partition(":") for one in dict.fromkeys(every) if one]
    return [(kind, name) for kind, _, name in parts]


def _command(wanted: Wanted, *arguments: str) -> str:
    words = [sys.executable, "-m", "scheduler", "-C", str(wanted.root), *arguments]
    return " ".join(quoted(word, command=True) for word in words)


def quoted(word: str, *, command: bool = False) -> str:
    """One word of a unit's list: quotes, backslashes, `%` and (in a command) `$` mean themselves."""
    word = escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    if command:
        word = word.replace("$", "$$")
    return f'"{word}"' if not word or set(word) & set(" \t\"'\\;") else word


def escaped(text: str) -> str:
    """Text in which `%` means itself."""
    return text.replace("%", "%%")


def _unit(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def install(folder: Path, files: dict[str, str]) -> tuple[list[Path], list[Path]]:
    """Write the units into systemd's folder: (written, those that are there already, the same).

    Nothing is overwritten, and where one is there with other content nothing is written at all.
    Raises UsageError then, and where the folder cannot be written to.
    """
    there = [folder / name for name in files if (folder / name).exists()]
    for path in there:
        if path.read_text("utf-8") != files[path.name]:
            raise UsageError(
                f"{path} is there already and says something else; nothing was written",
                help="look at it, take it away, or give this one another name with --name",
            )
    written = []
    for name, text in files.items():
        if folder / name not in there:
            _write(folder / name, text)
            written.append(folder / name)
    return written, there


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x": between looking and writing somebody else may have made it.
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {type(error).__name__}",
            help="give the command with sudo, or --user for a unit of your own",
        ) from None

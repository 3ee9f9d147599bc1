"""Read a secret where its reference says it is; the secret itself is never stored, logged or shown."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from scheduler.errors import SecretError


def read(reference: str, *, root: Path, environ: Mapping[str, str]) -> str:
    """The secret behind `env:NAME`, `file:PATH`, `keyring:SERVICE/NAME` or `cred:NAME` (systemd).

    Raises SecretError, which names the reference and never the secret.
    """
    kind, _, name = reference.partition(":")
    if not name:
        raise SecretError(
            "an account has no token", help='name one in accounts.yaml, for example token: "env:NAME"'
        )
    readers = {"env": _env, "file": _file, "keyring": _keyring, "cred": _cred}
    if kind not in readers:
        raise SecretError(
            f"'{kind}:' is no kind of secret reference", help="use env:, file:, keyring: or cred:"
        )
    found = readers[kind](name, root, environ).strip()
    if not found:
        raise SecretError(f"the secret {reference} is empty", help="put the token there, then try again")
    if any(ord(c) < 33 or ord(c) > 126 for c in found):
        raise SecretError(
            f"the secret {reference} holds a space, a line break or a letter outside ASCII",
            help="copy it again",
        )
    return found


def _env(name: str, root: Path, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise SecretError(f"the environment has no {name}", help=f"set {name} where launchday run is started")
    return environ[name]


def _file(name: str, root: Path, environ: Mapping[str, str]) -> str:
    path = (root / Path(name).expanduser()).resolve()
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise SecretError(
                f"file:{name} is not a regular file", help="name a file that holds just the token"
            )
        if mode & 0o077:
            raise SecretError(f"file:{name} can be read by others", help=f"chmod 600 {path}")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(
            f"file:{name} cannot be read: {type(error).__name__}", help="check the path"
        ) from None


def _keyring(name: str, root: Path, environ: Mapping[str, str]) -> str:
    service, _, user = name.partition("/")
    try:
        import keyring
    except ModuleNotFoundError:
        raise SecretError(
            "keyring: needs the keyring package", help="pip install 'launchday[keyring]'"
        ) from None
    try:
        return keyring.get_password(service, user) or ""
    except Exception as error:  # whatever the system's keyring raises: locked, absent, refused
        raise SecretError(
            f"keyring:{name} cannot be read: {type(error).__name__}", help="unlock the keyring"
        ) from None


def _cred(name: str, root: Path, environ: Mapping[str, str]) -> str:
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        raise SecretError(
            f"cred:{name} works under systemd only", help=f"LoadCredential={name}:… in the unit"
        )
    try:
        return (Path(folder) / Path(name).name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(
            f"cred:{name} cannot be read: {type(error).__name__}", help="check the unit"
        ) from None


def environment() -> Mapping[str, str]:
    """The process's environment (the one place that reads it for secrets)."""
    return os.environ

"""A small real SMTP server on loopback that keeps what it was given, and can fail in both forms."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

# What may become of one message. `refused` and `dropped` failed; `lost` failed too, but the letter is there.
FAULTS = ("ok", "refused", "dropped", "lost", "silent", "no_such_user")


@dataclass(frozen=True, slots=True)
class Kept:
    """One letter as it arrived."""

    sender: str
    to: str
    user: str
    encrypted: bool
    raw: bytes

    @property
    def letter(self) -> EmailMessage:
        found = message_from_bytes(self.raw, policy=default)
        assert isinstance(found, EmailMessage)
        return found


class Mailbox:
    """Listens on 127.0.0.1. `fault` is what becomes of the next messages; `password` of those who sign in.

    With a certificate it offers STARTTLS, or speaks TLS from the first byte where `wrapped`.
    """

    def __init__(self, certificate: Path | None = None, *, wrapped: bool = False, password: str = "") -> None:
        self.kept: list[Kept] = []
        self.sessions = 0
        self.fault = "ok"
        self.password = password
        self.silent = threading.Event()
        self._context: ssl.SSLContext | None = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._wrapped = wrapped
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ending = False
        self._threads: list[threading.Thread] = []
        self._main = threading.Thread(target=self._accept, daemon=True)
        self._main.start()

    def stop(self) -> None:
        self._ending = True
        self.silent.set()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._main.join()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._ending:
                connection.close()
                return
            self.sessions += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            if self._wrapped and self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            _Session(self, connection, self._context, encrypted=self._wrapped).run()
        connection.close()


class _Session:
    """One conversation, as RFC 5321 has it, as far as a client of ours needs it."""

    def __init__(
        self, box: Mailbox, connection: socket.socket, context: ssl.SSLContext | None, *, encrypted: bool
    ) -> None:
        self.box, self.context, self.encrypted = box, context, encrypted
        self.take(connection)
        self.sender = self.to = self.user = ""

    def take(self, connection: socket.socket) -> None:
        self.connection, self.lines = connection, connection.makefile("rb")

    def say(self, *lines: str) -> None:
        self.connection.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def run(self) -> None:
        if self.box.fault == "silent":
            self.box.silent.wait()
            return
        self.say("220 mailbox")
        try:
            while (line := self.lines.readline().decode("ascii").strip()) and self.one(line):
                pass
        finally:
            self.lines.close()
            self.connection.close()

    def one(self, line: str) -> bool:
        verb, _, rest = line.partition(" ")
        match verb.upper():
            case "EHLO":
                offers = ["mailbox", "AUTH PLAIN"]
                if self.context and not self.encrypted:
                    offers.append("STARTTLS")
                self.say(*[f"250{'-' if one != offers[-1] else ' '}{one}" for one in offers])
            case "STARTTLS" if self.context:
                self.say("220 go on")
                self.lines.close()
                self.take(self.context.wrap_socket(self.connection, server_side=True))
                self.encrypted = True
            case "AUTH":
                _, self.user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
                self.say("235 welcome" if password == self.box.password else f"535 not {password}")
            case "MAIL":
                self.sender = rest.partition("<")[2].partition(">")[0]
                self.say("250 ok")
            case "RCPT":
                self.to = rest.partition("<")[2].partition(">")[0]
                self.say("550 who?" if self.box.fault == "no_such_user" else "250 ok")
            case "DATA":
                return self.data()
            case "QUIT":
                self.say("221 bye")
                return False
            case _:
                self.say("250 ok")
        return True

    def data(self) -> bool:
        self.say("354 go on")
        raw = b""
        while (line := self.lines.readline()) not in (b".\r\n", b""):
            raw += line.removeprefix(b".")
        fault = self.box.fault
        if fault == "dropped":
            return False
        if fault == "refused":
            self.say("451 the disk is full")
            return True
        self.box.kept.append(Kept(self.sender, self.to, self.user, self.encrypted, raw))
        if fault == "lost":
            return False
        self.say("250 taken")
        return True

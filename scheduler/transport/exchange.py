"""One request on one fresh connection, written and read without ever blocking."""

from __future__ import annotations

import errno
import select
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress

from scheduler.domain.publisher import Reply
from scheduler.errors import NotSent, OutcomeUnknown
from scheduler.transport.reply import ReplyReader

# At most one TLS record: a record is authenticated as a whole, so that a first write that fails
# has given the peer nothing it could act on. And no large body holds up the first pass of a volley.
FIRST_PIECE = 16 * 1024  # bytes
_PIECE = 256 * 1024  # bytes per later write
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def died(socks: Iterable[socket.socket]) -> set[int]:
    """File numbers of the connections the peer has closed or reset.

    A readable socket is no sign of it: TLS 1.3 sends session tickets unasked. POLLRDHUP is one.
    """
    poll = select.poll()
    for sock in socks:
        poll.register(sock, getattr(select, "POLLRDHUP", 0))
    return {number for number, _ in poll.poll(0)}


def spoke(socks: Iterable[socket.socket]) -> set[int]:
    """File numbers of connections whose peer has answered before it was asked.

    What it says is no answer to what we are about to send. Session tickets of TLS 1.3 are not speech; what is
    read here is thrown away, so such a connection is used for nothing any more.
    """
    by_number = {sock.fileno(): sock for sock in socks}
    poll = select.poll()
    for number in by_number:
        poll.register(number, select.POLLIN)
    found: set[int] = set()
    for number, _ in poll.poll(0):
        # One that has only closed or died is `died`'s to name.
        with suppress(OSError):
            if by_number[number].recv(1):
                found.add(number)
    return found


class Exchange:
    """Ready bytes, how far they have been handed to the kernel, and the reply as it comes.

    `where` is for people ("https://mastodon.example"); `token` is only kept to be scrubbed from a
    reply that echoes it.
    """

    __slots__ = ("_token", "_view", "begun", "data", "reader", "sent", "sock", "stuck", "where")

    def __init__(self, sock: socket.socket, data: bytes, method: str, *, where: str, token: str = "") -> None:
        self.sock = sock
        self.data = data
        self.sent = 0  # bytes handed to the kernel
        self.begun = False  # a write was tried and did not fail outright: bytes may have left
        self.stuck = False  # a write failed: no more writing, but a reply may still be there
        self.reader = ReplyReader(method)
        self.where = where
        self._token = token
        self._view = memoryview(data)

    @property
    def written(self) -> bool:
        """Whether nothing is left to write (all handed over, or writing failed half-way)."""
        return self.stuck or self.sent == len(self.data)

    def push(self) -> None:
        """Write what fits. Raises NotSent where the very first write fails: nothing was handed over."""
        while not self.written:
            end = self.sent + (_PIECE if self.sent else FIRST_PIECE)
            try:
                self.sent += self.sock.send(self._view[self.sent : end])
                self.begun = True
            except WOULD_BLOCK:
                self.begun = True  # TLS may have handed over a part of a record
                return
            except OSError:
                if not self.begun:
                    raise self.gone() from None
                self.stuck = True

    def pull(self) -> Reply | OutcomeUnknown | None:
        """Read what is there; None = the reply is not whole yet. Never raises."""
        try:
            while self.reader.reply is None:
                received = self.sock.recv(_PIECE)
                if not received:
                    self.reader.end()
                    break
                self.reader.feed(received)
        except WOULD_BLOCK:
            return None
        except OutcomeUnknown as unknown:
            if unknown.code == "cut_reply" and not self.reader.begun:
                return OutcomeUnknown("no_reply", f"{self.where} closed the connection without a reply")
            return OutcomeUnknown(unknown.code, f"{self.where}: {unknown.detail}")
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, type(error).__name__)
            return OutcomeUnknown("connection_lost", f"{self.where}: {name} after the request was written")
        assert self.reader.reply is not None
        return _scrubbed(self.reader.reply, self._token)

    def gone(self) -> NotSent:
        """What to say when the connection died and not one byte was handed over."""
        return NotSent("connection_died", f"{self.where}: the connection died before the first byte")

    def timed_out(self) -> OutcomeUnknown:
        """What to say when there is no time left."""
        how = "no whole reply" if self.sent == len(self.data) else "the request could not be written whole"
        return OutcomeUnknown("timeout", f"{self.where}: {how} in time")

    def close(self) -> None:
        """Close the connection; harmless a second time."""
        self.sock.close()


def _scrubbed(reply: Reply, token: str) -> Reply:
    """The reply without our token: some servers echo it in error bodies, and those reach the log."""
    if len(token) < 8:  # too short to be a secret, and too likely to be part of a word
        return reply
    headers = {name: value.replace(token, "[token]") for name, value in reply.headers.items()}
    return Reply(reply.status, headers, reply.body.replace(token.encode(), b"[token]"))

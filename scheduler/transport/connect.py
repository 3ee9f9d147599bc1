"""Opening a fresh connection through requests' adapter, and knowing for certain that nothing was sent."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.utils
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from scheduler.errors import NotSent, UsageError
from scheduler.transport.wire import Origin


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long things may take, in seconds. `total` holds against a server that trickles, too."""

    connect: float = 10.0  # DNS, TCP, proxy and TLS of one connection together
    total: float = 60.0  # one request of prepare or find, connecting included
    finish: float = 2.0  # volley: the rest of large requests after the first pass


class _Adapter(HTTPAdapter):
    """requests' adapter with one SSLContext for all connections.

    A stock session loads the certificate store per connection: 35 ms of CPU against 2.5 ms.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=256, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)


class Dialer:
    """Opens connections: never reused ones, never by environment variables or `.netrc`.

    `proxy` is `http://[user:password@]host:port` or "", `ca` a PEM file or folder trusted beside the
    public authorities or "". Raises UsageError where either cannot be used. Threads may share it.
    """

    def __init__(self, proxy: str = "", ca: str = "") -> None:
        if proxy and urlsplit(proxy).scheme != "http":
            raise UsageError("the proxy in accounts.yaml must begin with http://", help="TLS goes through it")
        self._proxies = {"https": proxy} if proxy else {}
        self.context = _trust(ca)
        self._adapter = _Adapter(self.context)

    def dial(self, origin: Origin, seconds: float) -> socket.socket:
        """A connected, non-blocking socket that nothing has been written to. Raises NotSent.

        `seconds` bounds each single step (one address, the handshake); `Opening` bounds the whole.
        """
        prepared = requests.Request("GET", f"{origin}/").prepare()
        try:
            # Typed Any: the three steps below are the pool's own, which urllib3 does not type for callers.
            pool: Any = self._adapter.get_connection_with_tls_context(prepared, True, proxies=self._proxies)
            conn = pool._new_conn()  # not _get_conn: that might hand out a used connection
            conn.timeout = max(seconds, 0.001)
        except Exception as error:
            raise _not_sent(error, origin, bool(self._proxies)) from None
        try:
            if pool.proxy is not None:
                pool._prepare_proxy(conn)  # CONNECT through the proxy, then TLS to the platform
            else:
                conn.connect()
            sock: socket.socket = conn.sock
            sock.setblocking(False)
        except Exception as error:
            conn.close()
            raise _not_sent(error, origin, bool(self._proxies)) from None
        return sock

    def must_be_public(self, sock: socket.socket, origin: Origin) -> None:
        """Raise NotSent where the connection leads to this machine or its network.

        The connection's own end is asked, not the name, which may mean something else each time it is looked
        up. Through a proxy only the proxy knows; there a name that is itself such an address is refused.
        """
        address = origin.host if self._proxies and origin.scheme == "https" else sock.getpeername()[0]
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        if not found.is_global or found.is_multicast:
            raise NotSent("private_address", f"{origin} is an address of this machine or its network")

    def close(self) -> None:
        """Forget the pools."""
        self._adapter.close()


class Opening:
    """One connection being opened by another thread, so that a deadline holds against DNS as well.

    getaddrinfo cannot be interrupted and a handshake may trickle; who waits can give up instead, and
    the connection is closed as soon as it exists. Nothing is ever written by the opening thread.
    """

    __slots__ = ("_abandoned", "_lock", "_outcome", "done")

    def __init__(self) -> None:
        self.done = threading.Event()
        self._lock = threading.Lock()
        self._abandoned = False
        self._outcome: socket.socket | NotSent | None = None

    def run(self, dial: Callable[[], socket.socket]) -> None:
        """Open (in the opening thread); never raises."""
        if self._given_up():
            return
        outcome: socket.socket | NotSent
        try:
            outcome = dial()
        except NotSent as error:
            outcome = error
        with self._lock:
            self._outcome = outcome
            if self._abandoned:
                self._discard()
        self.done.set()

    def _given_up(self) -> bool:
        with self._lock:
            return self._abandoned

    def _discard(self) -> None:
        if isinstance(self._outcome, socket.socket):
            self._outcome.close()

    def take(self, wait: float) -> socket.socket:
        """The connection, waiting at most so many seconds. Raises NotSent."""
        self.done.wait(max(wait, 0.0))
        with self._lock:
            self._abandoned = True
            outcome, self._outcome = self._outcome, None
        if outcome is None:
            raise NotSent("connect_timeout", "no connection before the deadline")
        if isinstance(outcome, NotSent):
            raise outcome
        return outcome


def open_within(dialer: Dialer, origin: Origin, seconds: float) -> socket.socket:
    """A fresh connection within so many seconds in all. Raises NotSent."""
    opening, end = Opening(), time.monotonic() + seconds
    try:
        threading.Thread(
            target=opening.run, args=(lambda: dialer.dial(origin, seconds),), daemon=True, name="connect"
        ).start()
    except RuntimeError:
        raise NotSent("connect", "this machine allows no more threads") from None
    return opening.take(end - time.monotonic())


def _trust(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=requests.utils.DEFAULT_CA_BUNDLE_PATH)
    if ca:
        path = Path(ca).expanduser()
        try:
            if path.is_dir():
                context.load_verify_locations(capath=path)
            else:
                context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError):
            raise UsageError(
                f"the certificate file {ca} cannot be read", help="`ca:` in accounts.yaml names a PEM file"
            ) from None
    return context


def _not_sent(error: Exception, origin: Origin, proxied: bool) -> NotSent:
    """What went wrong in words of our own: texts of libraries may quote addresses with secrets."""
    where_to = f"{origin} through the proxy" if proxied else str(origin)
    match error:
        case NameResolutionError():
            return NotSent("dns", f"the name of {where_to} was not found")
        case ssl.SSLCertVerificationError():
            return NotSent("tls", f"{where_to}: {error.verify_message}")
        case ssl.SSLError():
            return NotSent("tls", f"{where_to}: {error.reason or 'the handshake failed'}")
        case NewConnectionError():
            pass  # by the system's own error, below (the class is a kind of ConnectTimeoutError)
        case ConnectTimeoutError() | TimeoutError():
            return NotSent("connect_timeout", f"{where_to} did not answer in time")
    cause = error.__cause__ if isinstance(error, NewConnectionError) else error
    number = cause.errno if isinstance(cause, OSError) else None
    if number == errno.ECONNREFUSED:
        return NotSent("connect_refused", f"{where_to} refused the connection")
    if number in (errno.EMFILE, errno.ENFILE):
        return NotSent("connect", "this machine allows no more open files")
    if number is None and isinstance(cause, OSError) and proxied:
        return NotSent("proxy", f"{where_to}: the proxy refused to connect")
    name = errno.errorcode.get(number, "") if number else type(error).__name__
    return NotSent("connect", f"{where_to}: {name}")

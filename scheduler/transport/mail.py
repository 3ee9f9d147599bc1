"""E-mail by SMTP: TLS verified, one message to one address, nothing of a server's words repeated."""

from __future__ import annotations

import errno
import smtplib
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from scheduler.domain.notify import Mail

STEP = 15.0  # seconds that a server may take for any single answer


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent. `key` becomes the Message-ID, the same for every try: mailboxes can merge."""

    key: str
    to: str
    name: str
    subject: str
    text: str
    at: datetime


class NotTold(Exception):
    """A channel did not take a message. The text is ours: it holds no secret and no server's words."""


def send_mail(mail: Mail, password: str, letter: Letter, tls: ssl.SSLContext) -> None:
    """Hand the letter to the server, which has then accepted it. Raises NotTold.

    Each answer has `STEP` seconds; the caller bounds the whole.
    """
    try:
        raw = compose(mail, letter).as_bytes()
        with _connect(mail, tls) as server:
            if mail.user:
                server.login(mail.user, password)
            server.sendmail(mail.sender, [letter.to], raw)
    except Exception as error:
        raise NotTold(_words(error)) from None


def compose(mail: Mail, letter: Letter) -> EmailMessage:
    """The letter in RFC 5322 form. Raises ValueError for an address or a line that no header may hold."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Launchday", addr_spec=mail.sender)
    message["To"] = Address(letter.name, addr_spec=letter.to)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = f"<{letter.key}@{mail.sender.rpartition('@')[2]}>"
    # Nobody's out-of-office reply should answer an alarm (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text, charset="utf-8", cte="quoted-printable")
    return message


def _connect(mail: Mail, tls: ssl.SSLContext) -> smtplib.SMTP:
    """A server whose certificate is verified before anything is said to it."""
    me = socket.gethostname()
    if mail.tls == "tls":
        return smtplib.SMTP_SSL(mail.server, mail.port, me, timeout=STEP, context=tls)
    server = smtplib.SMTP(mail.server, mail.port, me, timeout=STEP)
    if mail.tls == "starttls":
        try:
            server.starttls(context=tls)
        except BaseException:
            server.close()
            raise
    return server


def _words(error: Exception) -> str:
    """What went wrong, in our words: a server's own may quote the password or the message."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return "the mail server refused the user or the password"
        case smtplib.SMTPRecipientsRefused():
            return "the mail server refused the address"
        case smtplib.SMTPNotSupportedError():
            return "the mail server offers no encryption or no sign-in"
        case smtplib.SMTPResponseException():
            return f"the mail server answered {error.smtp_code}"
        case smtplib.SMTPServerDisconnected() if isinstance(error.__context__, TimeoutError):
            return "the mail server did not answer in time"
        case smtplib.SMTPServerDisconnected():
            return "the mail server closed the connection"
        case ssl.SSLCertVerificationError():
            return f"the mail server's certificate: {error.verify_message}"
        case ssl.SSLError():
            return "no encrypted connection to the mail server"
        case TimeoutError():
            return "the mail server did not answer in time"
        case socket.gaierror():
            return "the mail server's name was not found"
        case OSError():
            name = errno.errorcode.get(error.errno or 0, type(error).__name__)
            return f"the mail server cannot be reached: {name}"
        case ValueError() | UnicodeError() | IndexError():
            return "the address cannot be used for e-mail"
    return f"e-mail broke: {type(error).__name__}"

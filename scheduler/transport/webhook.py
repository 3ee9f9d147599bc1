"""A message for another program: one signed POST, over the restricted transport."""

from __future__ import annotations

import base64
import hashlib
import hmac

from scheduler.domain.notify import Webhook
from scheduler.domain.publisher import Request
from scheduler.errors import PublishError
from scheduler.transport.http import Transport
from scheduler.transport.mail import NotTold


def post(transport: Transport, hook: Webhook, secret: str, key: str, body: bytes, *, deadline: float) -> None:
    """POST the body (JSON); the server has then accepted it with 2xx. Raises NotTold.

    `key` is the idempotency key, `deadline` unix seconds by the transport's clock. Signed as Standard
    Webhooks has it (webhook-id, webhook-timestamp, webhook-signature) where there is a secret.
    """
    at = str(int(transport.now()))
    headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", key),
        ("webhook-id", key),
        ("webhook-timestamp", at),
    ]
    if secret:
        headers.append(("webhook-signature", signature(secret, key, at, body)))
    try:
        http = transport.http(hook.url, deadline=deadline, public_only=not hook.private)
        reply = http.send(Request("POST", hook.url, tuple(headers), body))
    except PublishError as error:
        raise NotTold(f"{error.code}: {error.detail}"[:200]) from None
    if 300 <= reply.status < 400:
        raise NotTold("the webhook answered with a redirect, which is not followed")
    if not 200 <= reply.status < 300:
        raise NotTold(f"the webhook answered {reply.status}")


def signature(secret: str, key: str, at: str, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body` (standardwebhooks.com).

    A secret that begins with `whsec_` is base64, as that specification writes it; any other is its bytes.
    """
    coded = secret.removeprefix("whsec_")
    try:
        raw = base64.b64decode(coded, validate=True) if coded != secret else secret.encode()
    except ValueError:
        raw = secret.encode()
    signed = f"{key}.{at}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()

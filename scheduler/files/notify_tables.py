"""What may stand below `notify:` and `away:` in accounts.yaml."""

from __future__ import annotations

from scheduler.files.fields import Field, Kind, Table

T = Kind.TEXT

AWAY = Table(
    "an absence",
    (
        Field("from", T, "its beginning", required=True, example="Mon 1 March 2027 00:00"),
        Field("to", T, "its end", required=True, example="Mon 15 March 2027 00:00"),
        Field("deputy", T, "the person who is told instead", required=True, example="p.brackenhythe"),
    ),
)
_FOR = Field("for", Kind.TEXTS, "organisations or groups whose notices it gets; all if not said")
_TRY = Field("simulation", Kind.FLAG, "messages of simulations are really sent, too (a test address)")
_KEPT = "where the secret is: env:NAME, file:PATH, keyring:SERVICE/NAME or cred:NAME"

MAIL = Table(
    "e-mail",
    (
        Field("server", T, "the SMTP server", required=True, pattern=r"[\w.:-]+", example="mail.example"),
        Field("port", T, "its port", pattern=r"[0-9]{1,5}", example="587"),
        Field("tls", T, "how it is encrypted", choices=("starttls", "tls", "none"), example="starttls"),
        Field(
            "from",
            T,
            "the sender's address",
            required=True,
            pattern=r"[^@\s<>,;]+@[^@\s<>,;]+",
            example='"launchday@swrocu.example"',
        ),
        Field("user", T, "the user's name at the server", example="launchday"),
        Field("password", T, _KEPT, example='"cred:smtp"'),
        _TRY,
    ),
)
WEBHOOK = Table(
    "a webhook",
    (
        Field("url", T, "where messages are posted", required=True, example='"https://alerts.example/hook"'),
        Field("secret", T, f"the key that signs them; {_KEPT}", example='"env:ALERTS_KEY"'),
        _FOR,
        Field("private", Kind.FLAG, "the address is one of this network or this machine"),
        _TRY,
    ),
)
APPRISE = Table(
    "an Apprise address",
    (
        Field("url", T, f"{_KEPT} (the whole address)", required=True, example='"env:DUTY_PHONE"'),
        _FOR,
        _TRY,
    ),
)
STEP = Table(
    "a step of the escalation",
    (
        Field("after", T, "how long after the notice arose", required=True, example="15m"),
        Field("to", Kind.TEXTS, "people who are told besides", example="[a.hart]"),
    ),
)
NOTIFY = Table(
    "notify",
    (
        Field("to", Kind.TEXTS, "people who look after the machine itself", example="[a.hart]"),
        Field("email", Kind.RECORD, "e-mail by SMTP", table=MAIL),
        Field("webhooks", Kind.RECORDS, "addresses of other programs", table=WEBHOOK),
        Field("apprise", Kind.RECORDS, "services of the package Apprise", table=APPRISE),
        Field("escalate", Kind.RECORDS, "what happens when nobody acknowledges", table=STEP),
    ),
)

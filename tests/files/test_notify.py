"""accounts.yaml says who is told of trouble, and how; what it says wrongly is refused at its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import ruamel.yaml
from jsonschema import Draft202012Validator

from scheduler.domain.account import Directory
from scheduler.domain.notify import Apprise, Away, Mail, Notify, Step, Webhook
from scheduler.errors import FilesWrong
from scheduler.files.schema import schema
from scheduler.files.workspace import load

YAML = """\
zone: Europe/London
organisations:
  dorset: {name: Dorset Police, duty: [jo, pat]}
  charity: {name: The Charity}
groups:
  both: [dorset, charity]
people:
  jo: {name: Jo, org: dorset, roles: [approver], email: jo@dorset.example, apprise: "env:JO_PHONE"}
  pat:
    name: Pat
    org: dorset
    roles: [approver]
    away: {from: "Mon 1 March 2027 00:00", to: "Mon 15 March 2027 00:00", deputy: jo}
notify:
  to: [jo]
  email: {server: mail.example, from: launchday@dorset.example, user: post, password: "cred:smtp"}
  webhooks:
    - {url: "https://alerts.example/hook", secret: "env:KEY", for: [both]}
    - {url: "http://127.0.0.1:8080/", private: true, simulation: true}
  apprise:
    - {url: "env:DUTY_PHONE", for: dorset}
  escalate:
    - {after: 10m, to: [pat]}
    - {after: 1h, to: [jo, pat]}
"""


def directory(root: Path, text: str = YAML) -> Directory:
    (root / "accounts.yaml").write_text(text, encoding="utf-8")
    return load(root)[0].directory


def test_everything_that_can_be_said_is_read(tmp_path: Path) -> None:
    read = directory(tmp_path)
    assert read.organisations["dorset"].duty == ("jo", "pat")
    assert read.organisations["dorset"].facts == {}
    assert read.people["jo"].apprise == "env:JO_PHONE"
    start, end = datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 3, 15, tzinfo=UTC)
    assert read.people["pat"].away == Away(start, end, "jo")
    assert read.notify == Notify(
        mail=Mail("mail.example", 587, "starttls", "launchday@dorset.example", "post", "cred:smtp"),
        webhooks=(
            Webhook("https://alerts.example/hook", "env:KEY", ("dorset", "charity")),
            Webhook("http://127.0.0.1:8080", private=True, simulation=True),
        ),
        apprise=(Apprise("env:DUTY_PHONE", ("dorset",)),),
        keepers=("jo",),
        steps=(Step(timedelta(minutes=10), ("pat",)), Step(timedelta(hours=1), ("jo", "pat"))),
    )
    assert read.notify.secrets == ("cred:smtp", "env:KEY", "env:DUTY_PHONE")


def test_all_of_it_may_be_left_out(tmp_path: Path) -> None:
    read = directory(tmp_path, "organisations:\n  a: {name: A}\n")
    assert (read.notify, read.has_channel) == (Notify(), False)


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "said"),
    [
        ("duty: [jo, pat]", "duty: [joe]", "E615", 3, "did you mean 'jo'?"),
        ("deputy: jo", "deputy: pat", "E615", 13, "name somebody else"),
        ("to: [jo]\n", "to: [nobody]\n", "E615", 15, "known here: jo, pat"),
        ("to: [pat]", "to: [pet]", "E615", 23, "did you mean 'pat'?"),
        ('password: "cred:smtp"', "password: hunter2", "E601", 16, "env:NAME"),
        ('"env:DUTY_PHONE"', '"tgram://token/chat"', "E601", 21, "env:NAME"),
        ('"env:JO_PHONE"', '"tgram://token/chat"', "E601", 8, "env:NAME"),
        (', password: "cred:smtp"', "", "E108", 16, "add the other"),
        ("user: post", "tls: none, user: post", "E616", 16, "starttls"),
        ("user: post", "tls: ssl, user: post", "E116", 16, "starttls, tls, none"),
        ("user: post", "port: 70000, user: post", "E116", 16, "65535"),
        ("https://alerts", "http://alerts", "E603", 18, "https://"),
        ("for: [both]", "for: [bath]", "E606", 18, "did you mean 'both'?"),
        ("after: 1h", "after: 5m", "E212", 24, "correct one"),
        ("after: 1h", "after: soon", "E209", 24, ""),
        ("webhooks:", "webhook:", "E104", 17, "did you mean 'webhooks'?"),
        ("Mon 15 March 2027", "Mon 1 March 2027", "E212", 13, "correct one"),
    ],
)
def test_what_is_wrong_is_refused_at_its_place(
    tmp_path: Path, old: str, new: str, code: str, line: int, said: str
) -> None:
    assert old in YAML
    with pytest.raises(FilesWrong) as wrong:
        directory(tmp_path, YAML.replace(old, new))
    (problem,) = wrong.value.problems
    assert (problem.code, problem.at.line) == (code, line), problem
    assert said in problem.help
    assert "hunter2" not in str(problem)
    assert "tgram" not in str(problem)


def test_the_reader_and_the_schema_know_the_same_fields() -> None:
    value: Any = ruamel.yaml.YAML(typ="safe", pure=True).load(YAML)
    assert list(Draft202012Validator(schema("accounts")).iter_errors(value)) == []
    value["notify"]["email"]["sever"] = "x"
    assert list(Draft202012Validator(schema("accounts")).iter_errors(value))

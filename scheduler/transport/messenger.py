"""Telephones and messengers through the package Apprise, which is loaded only when it is used."""

from __future__ import annotations

import logging

from scheduler.transport.mail import NotTold


def send_apprise(address: str, subject: str, text: str) -> None:
    """Give the message to the service of this Apprise address (a secret). Raises NotTold.

    The address is never repeated: Apprise's own log lines may hold it, so they are switched off.
    """
    try:
        import apprise
    except ModuleNotFoundError:
        raise NotTold("Apprise is not installed: pip install 'launchday[notify]'") from None
    logging.getLogger("apprise").disabled = True
    try:
        service = apprise.Apprise()
        if not service.add(address):
            raise NotTold("the secret is no address that Apprise knows")
        taken = service.notify(title=subject, body=text, body_format=apprise.NotifyFormat.TEXT)
    except NotTold:
        raise
    except Exception as error:  # whatever a plug-in of Apprise raises
        raise NotTold(f"Apprise broke: {type(error).__name__}") from None
    if not taken:
        raise NotTold("the service behind the Apprise address did not take it")

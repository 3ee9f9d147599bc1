"""Room for the sockets of a large wave: the soft limit of open files is raised as far as it goes."""

from __future__ import annotations

import resource

from scheduler.errors import LaunchdayError

_OTHERS = 256  # files for everything else: database, logs, pipes, connections being abandoned


def make_room(sockets: int) -> None:
    """Let this process open so many sockets. Raises LaunchdayError where the system forbids it."""
    needed = sockets + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise LaunchdayError(
            f"a wave of {sockets} deliveries needs {needed} open files, the system allows {hard}",
            help="raise the hard limit (LimitNOFILE= in the systemd unit, or /etc/security/limits.conf)",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

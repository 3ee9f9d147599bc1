"""Which publishers are installed: entry points of the group `launchday.publishers`."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points

from scheduler.domain.publisher import Publisher
from scheduler.errors import LaunchdayError

GROUP = "launchday.publishers"


def installed() -> tuple[str, ...]:
    """The platforms that have a publisher here, sorted. Loads none of them."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def load(platforms: Collection[str]) -> dict[str, Publisher]:
    """The publishers of these platforms; one without a publisher is absent.

    Only what is asked for is imported. Raises LaunchdayError, naming the package, where one cannot be
    imported, does not fit the port, or two packages want the same platform.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name not in platforms:
            continue
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise LaunchdayError(
                f"Two packages publish to {point.name}: {_package(other)} and {_package(point)}.",
                help="Uninstall one of them.",
            )
        found[point.name] = point
    return {name: _publisher(found[name]) for name in sorted(found)}


def _publisher(point: EntryPoint) -> Publisher:
    try:
        made = point.load()()
    except (
        Exception,
        SystemExit,
    ) as error:  # whatever a foreign package raises, the user sees which one it was
        raise LaunchdayError(
            f"The publisher for {point.name} from {_package(point)} does not start: "
            f"{type(error).__name__}: {error}",
            help=f"Update or uninstall {_package(point)}.",
        ) from error
    if not isinstance(made, Publisher) or made.platform != point.name:
        raise LaunchdayError(
            f"The publisher for {point.name} from {_package(point)} does not fit this version of Launchday.",
            help=f"Update or uninstall {_package(point)}.",
        )
    return made


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name}" if point.dist else f"the module {point.module}"

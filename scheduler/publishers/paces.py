"""What platforms take in how much time, as they document it: sources in platforms.md and beside each.

A publisher whose platform documents no figures (Facebook: only error codes) declares none.
"""

from __future__ import annotations

from datetime import timedelta

from scheduler.domain.pace import Limit, Per

_FIVE, _QUARTER, _HALF = (timedelta(minutes=n) for n in (5, 15, 30))
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)

# mastodon/mastodon config/initializers/rack_attack.rb @020228dd: 300 for each token; that for an address
# counts only requests without one (api/rate-limits.md says otherwise). A delivery asks for its profile and
# the server's rules, publishes, and is looked at; each picture is an upload and a look.
MASTODON = (
    Limit(300, "requests", _FIVE, Per.ACCOUNT, each=4, picture=2),
    Limit(30, "pictures", _HALF, Per.ACCOUNT, each=0, picture=1),
)
# bsky-docs rate-limits.md (A2). A delivery opens a session, asks for it, writes its record (3 points) and is
# looked at; each picture is an upload.
BLUESKY = (
    Limit(3000, "requests", _FIVE, Per.SERVER, each=4, picture=1),
    Limit(5000, "points", _HOUR, Per.ACCOUNT, each=3),
    Limit(35000, "points", _DAY, Per.ACCOUNT, each=3),
    Limit(30, "sessions", _FIVE, Per.ACCOUNT),
    Limit(300, "sessions", _DAY, Per.ACCOUNT),
)
# xdevplatform/docs rate-limits.mdx (A3): each user, and the app that all accounts share.
X = (
    Limit(100, "posts", _QUARTER, Per.ACCOUNT),
    Limit(10_000, "posts", _DAY, Per.APP),
)

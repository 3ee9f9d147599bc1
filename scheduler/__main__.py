"""`python -m scheduler` is `launchday`."""

from scheduler.cli.main import main

main()

"""What we remember: tables, outbox, posting log, migrations."""

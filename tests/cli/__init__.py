"""The commands as users give them: exit codes, JSON, TSV, help, the walkthrough."""

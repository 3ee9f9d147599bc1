"""What humans edit, read into domain values; every error with file:line:col."""

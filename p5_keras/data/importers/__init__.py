"""What users bring: read, looked at, and made into sources."""

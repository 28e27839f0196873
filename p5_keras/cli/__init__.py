"""The command: flags, and what is checked before anything is built."""

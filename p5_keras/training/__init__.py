"""A run: its folder, its states, its best model, its logs, and how it ends."""

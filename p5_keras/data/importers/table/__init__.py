"""Tables: how each column is read, decided once and kept."""

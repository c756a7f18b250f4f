"""The commands that have no room of their own: each its options, and what it prints, writes and complains of."""

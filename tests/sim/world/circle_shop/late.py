"""Loaded by the first order only."""

seen = []

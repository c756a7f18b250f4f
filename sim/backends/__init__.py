"""Simulated conversation APIs, and what they have in common."""

"""The simulated OpenAI Threads API (Assistants v2)."""

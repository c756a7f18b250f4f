"""Hunting for a broken promise, and shrinking what was found.

Begin at `hunting.py`, which looks at world after world; `shrinking.py` takes away from a failing world whatever it does not
need (`cases.py`, `reductions.py`, `delta_debugging.py`, `small_worlds.py`), and `kept.py` writes what is left as a scenario
that any command runs again. What is said on a screen is said by
`relaysim.scenarios.commands.explore`.
"""

"""Mutants of the relay: does the judge notice, and after how many worlds of which strategy?

`mutants.toml` lists them, `patches.py` puts one in place of the relay's module in a process of its own (files stay as they
are), `noticed.py` runs worlds until a promise is seen broken, `shrunk.py` shrinks what is found, and `python -m
tests.mutants` measures all of them. `simulator.toml` lists those of whatever judges relays; `tested.py` runs the test that
notices one.
"""

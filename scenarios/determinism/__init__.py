"""A seed is one world: worlds run again under other conditions, and where they part.

What lives here
    recheck.py        what `verify` does: the first seeds again, in a fresh process, in another order; begin here
    fresh_process.py  another interpreter, with a hash seed of its own, that runs worlds and gives back their traces
    traces.py         traces as small as they travel, and the first record in which two of them differ

May import `reports`, `sim` and the rest of `scenarios`.
"""

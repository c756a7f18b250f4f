"""A seed is one world: worlds run again under other conditions, where they part, and what makes them part.

What lives here
    recheck.py        what `verify` does: the first seeds again, in a fresh process, in another order; begin here
    fresh_process.py  another interpreter, with a hash seed of its own, that runs worlds and gives back their traces
    conditions.py     what such a process may find otherwise: the real clock, the system's entropy, the environment
    traces.py         traces as small as they travel, and the first record in which two of them differ
    examination.py    what `doctor` does: the same seeds in several ways, and the single condition that makes them part
    evidence.py       what two watched worlds say about a cause, and the lines of code that bring it in
    causes.py         the causes: in words, which readings show them, and what to do
    readings.py       what the user's code reads that is no part of its world: clocks, entropy, orders of sets, files
    set_orders.py     the places in a source file where the order of a set may come out
    kept_state.py     what modules keep from one world to the next
    doctor_words.py   what `doctor` prints

May import `reports`, `sim` and the rest of `scenarios`.
"""

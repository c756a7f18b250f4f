"""Tuning: settings of a policy that fail less, wait less and ask less of the API, searched for and judged again.

What lives here
    tuning.py            one tuning from its options to its results; begin here
    space.py             which settings are searched, in which ranges, and where the search begins
    objectives.py        what is minimised, from the worlds of a policy
    candidate_worlds.py  the worlds of one candidate, under each profile
    study.py             the search itself, on Optuna, which can be interrupted
    held_out.py          the best found, judged on seeds that the search never saw
    closed_form.py       the same objectives without a world, where arithmetic can give them
    sensitivity.py       how the result depends on the backend's numbers, by that arithmetic
    agreement.py         the front that was found beside the one of that arithmetic
    policy_text.py       `policy.toml`, which `relaysim.relay.load_policy` reads

May import `relay`, `sim`, `reports` and the rest of `scenarios`. Optuna, numpy and scipy are imported by the functions
that need them.
"""

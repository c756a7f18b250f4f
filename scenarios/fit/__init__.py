"""From a production log back to the numbers of a profile: `relaysim fit`.

What lives here
    blocks.py        a log as blocks of whole lines, in bounded memory; what is wrong with its bytes is counted
    shapes.py        what shape a log has as a whole: records over several lines, order of its dates, which end comes first
    prefixes.py      what a log's carrier puts before a line: the moment and the worker
    lines.py         the relay's lines among all others, plain or as events
    reading.py       what the lines tell: conflicts, recoveries, failures, waits, runs
    episodes.py      one message's way from its first refusal to its end, where the log says which lines belong together
    intervals.py     times that are known to lie between two moments, as weights
    likelihood.py    log-normal times from such intervals: maximum likelihood, profile intervals, Turnbull's estimate
    estimates.py     the profile's numbers from what was read, and what cannot be known
    log_claims.py    the fix's claims as a log tells them
    profile_file.py  profile.toml, which scenarios load
    log_results.py   the content of `results.json`
"""

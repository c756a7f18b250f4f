"""A scenario that lasts for minutes, for programs on the simulator's clock."""

from __future__ import annotations

LONG = """
schema = 1
name = "long"
title = "Two customers, runs of 40 s"
root_seed = 5
replications = 2
profile = "typical"

[profile_overrides]
run_seconds = { kind = "uniform", low = 30.0, high = 50.0 }
slow_probability = 0.0
stuck_probability = 0.0
failure_probability = 0.0

[relay]
factory = "relaysim.relay:check_then_act"

[workload]
conversations = 2
messages = [
    { conversation = 1, at_seconds = 0.1, worker = 1 },
    { conversation = 2, at_seconds = 0.1 },
    { conversation = 1, at_seconds = 5.0, worker = 1 },
]

[[claims]]
id = "transparent"
title = "the customer does not notice"
kind = "never"
event = "transparency_breaches"
expect = "verified"
reason = "nobody has said otherwise"
"""

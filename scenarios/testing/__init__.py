"""Relays judged in other people's test suites: `relaysim.check`, and what pytest makes of it.

Begin with `plugin`, which pytest loads by its entry point, or with `checking`, which knows nothing of pytest.

- `checking`: `relaysim.check`: a relay judged in some worlds of a scenario; `judging` gives the verdicts.
- `check_errors`: what it raises, and what it returns.
- `world_story`: the story of one such world, at most 25 lines.
- `request_story`: the same of a test that called the simulated API itself, request by request.
- `running_test`: what pytest tells `check` of the test that runs, and what `check` tells pytest of its seeds.
- `failing_seeds`: the file in which failing seeds are kept.
- `plugin`: the marker, the options, the section of a failed test; with `seed_keeper`, which writes the summary.
- `again_line`: the line that runs a test again.
- `scenario_items`: `*.scenario.toml` as tests, one for each claim.
- `services`: the simulated API, Redis and a clock together, for a test.

Importing this package, or its `plugin`, imports nothing of the simulator: pytest does so in every session.
"""

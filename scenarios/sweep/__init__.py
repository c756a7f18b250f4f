"""The command `sweep`: one scenario at many points, many seeds at each, in a run that can be broken off at any time.

`points` says which there are, `sweep_worlds` runs their chunks and keeps the journal, `sweep_results` makes the results.
What people see of it is in `relaysim.reports.sweep_words` and its neighbours.
"""

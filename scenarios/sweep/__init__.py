"""The command `sweep`: one scenario at many points, many seeds at each, in a run that can be broken off at any time.

`plan` makes the points, `worlds` runs their chunks and keeps the journal, `measure` makes the results. What people see of it
is in `relaysim.reports.sweep` and its neighbours.
"""

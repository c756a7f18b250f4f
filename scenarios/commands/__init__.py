"""The commands of `relaysim`, a module each: its options, and what it prints, writes and complains of.

`command_line` has what they share. Importing a command imports nothing that takes time, so that `--help` answers at once;
what a command needs is imported when it runs.
"""

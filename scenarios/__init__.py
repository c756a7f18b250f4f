"""What to run and how often: scenario files, the runner, and the `relaysim` command.

What lives here
    model.py                what a scenario file may say, every field documented; begin here
    document.py             files before they are checked: `extends`, dotted paths, `--set`
    problems.py             what is wrong with a file, in words for people
    load.py                 from a name or a path to a checked scenario, or to all its problems at once; with
                            scenario_files.py, which reads what it extends, another_relay.py, which says what stays of
                            it under somebody's own relay, and scenario_checks.py
    scenario_reference.py   docs/scenarios.md, written from the models
    command_reference.py    docs/commands.md, written from the parser
    docs_pages.py           which page tells more of a command or of a file, and the pages as text
    policy.py               a policy in place of the scenario's own relay
    toml_text.py            TOML written
    runner.py               replications in this process or in several
    engines.py, chunks.py   long runs: where their pieces are computed, and the journal by which they are taken up again
    sequential.py           replications until every rate is decided
    replication_summary.py  many replications added up, the same whatever the order and the number of processes; with
                            strata_tallies.py, obstacle_tallies.py, own_word_tallies.py, counter_tallies.py and
                            blocked_loops.py
    crash_notes.py          what a process was doing when it died
    file_locks.py           no two processes write one folder
    system_errors.py        what an error says, as part of a sentence
    determinism/            whether a seed is one world, and if not, why not
    verdicts.py             a scenario's claims judged: its entry in `results.json`
    own_policies.py         over which APIs the relay's own policies work
    policy_comparison.py    several policies in the same worlds
    policies_by_api.py      the same policies under each API: the tables of docs/migrating.md
    tried.py                what a scenario's worlds put a relay to; what they did not, no answer calls safe
    breached.py             the case that stands for a claim's failure in one world
    first_failures.py       the stories of first failures, run again for the page
    own_relay.py            of somebody's own relay: why it is not safe, and under which waits it is
    timing.py               what may differ from run to run: rates, memory, machine, versions; and the version of the code
    progress.py             one bar over a whole command, or plain lines; with work_left.py: how long it still takes
    cli.py                  the commands, and how they end; with argument_parser.py, which says what was typed wrong
    explore/                hunting for a broken promise, and making the failure small
    fit/                    from a production log to a profile
    sweep/                  one scenario at many points
    tune/                   settings searched for, and judged again
    outside/                programs judged from outside: how they are started, and trials around copies of them
    demo/                   people who write in a browser, answered by the relay as a program
    ablations/              the relay without one of its safeguards each
    testing/                relays judged in other people's test suites: `relaysim.check`, and what pytest makes of it
    commands/               every command: its options, and what it prints, writes and complains of
    shipped/                the scenarios of the incident

May import `reports`, `relaysim.sim.world`, `relaysim.sim.doors` and `relaysim.sim.kernel`, and `testing` the fixtures.
Importing this package or its `cli` imports none of them: the command's help must not wait for them.
"""

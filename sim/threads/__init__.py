"""Threads of a simulated process: plain, blocking code in virtual time.

`strands` lets code block and others go on, `jobs` starts threads for loops, `locks` is what threads wait for, `alarms` what
interrupts them, `starting` how they start and end, `main_thread` what stands for the first, `loops` the event loops that
threads run, and `install` puts all of it in the places of Python's own while code of a worker runs.
May import `relaysim.sim.kernel`. Begin with `wait`.
"""

from relaysim.sim.threads.install import install
from relaysim.sim.threads.jobs import drive, in_thread
from relaysim.sim.threads.main_thread import MAIN_IDENT, MAIN_THREAD
from relaysim.sim.threads.strands import Block, Threads, current_strand, strand_of_plain_code, wait

__all__ = [
    "MAIN_IDENT",
    "MAIN_THREAD",
    "Block",
    "Threads",
    "current_strand",
    "drive",
    "in_thread",
    "install",
    "strand_of_plain_code",
    "wait",
]

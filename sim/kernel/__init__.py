"""Deterministic asyncio on SimPy.

Hosts are asyncio event loops; they and SimPy processes share one `simpy.Environment`, so one clock and one order.
Begin with `Kernel`: it owns the clock, the keyed draws and the trace. A `Host` may crash, stand still, be slow and read a
wrong time of day. `Fence` makes whatever would leave the simulation (clocks, entropy, sockets, threads, subprocesses)
virtual or an error while a kernel runs. A `Guard` keeps code under test from ending or hanging the process.

- `kernel`, `agenda`, `clock`: the environment, what is due in it and when, and the grain of its time.
- `loop`, `running`, `unhandled`, `cancelled_tasks`, `power_cut`: a host's event loop, whose turn it is, exceptions that
  nobody received, tasks that a host cancels itself, and what a crashed host leaves behind.
- `draws`, `distributions`, `tape`: random numbers by what they are for, durations, and decisions written down.
- `trace`: what happened, and its fingerprint.
- `fence`, `refusals`, `substitutes`, `ignored_calls`: what of Python and the system is virtual, refused or without effect.
- `guard`, `watchdog`: code under test that would end the process, or that never comes back.
- `installation`: what is put in place once for many worlds.
- `modules_aside`: loaded modules that others stand in place of now.
- `own_errors`, `error_text`, `source_places`, `error_chain`, `loading_lines`: the simulator's own errors, what foreign ones
  say, where they arose and what they came from, and which of them come of a server that is started where its module is
  loaded.

This folder imports nothing of the project and could be published alone.
"""

from relaysim.sim.kernel.agenda import StuckSimulationError, Timer
from relaysim.sim.kernel.cancelled_tasks import CancelledTask
from relaysim.sim.kernel.clock import EPOCH_SECONDS, TICK, ticks
from relaysim.sim.kernel.draws import ConditionedDraws, Draws
from relaysim.sim.kernel.error_chain import chain_of_error
from relaysim.sim.kernel.error_text import error_text, named, writable
from relaysim.sim.kernel.fence import Fence, outside
from relaysim.sim.kernel.guard import EndsProcessError, GivenUpError, Guard
from relaysim.sim.kernel.kernel import Host, Kernel
from relaysim.sim.kernel.own_errors import SimulatorError, own_error_in
from relaysim.sim.kernel.refusals import LeavesSimulationError
from relaysim.sim.kernel.running import current_host
from relaysim.sim.kernel.source_places import place_of_caller, place_of_error, steps_of_error
from relaysim.sim.kernel.tape import ALL_OF, DrawKey, Recording, RecordingDraws, TapedDraws
from relaysim.sim.kernel.trace import Record, Trace, current_context, digested, kind_of, maker_of, record_kind
from relaysim.sim.kernel.unhandled import Unhandled
from relaysim.sim.kernel.watchdog import WATCHDOG

__all__ = [
    "ALL_OF",
    "EPOCH_SECONDS",
    "TICK",
    "WATCHDOG",
    "CancelledTask",
    "ConditionedDraws",
    "DrawKey",
    "Draws",
    "EndsProcessError",
    "Fence",
    "GivenUpError",
    "Guard",
    "Host",
    "Kernel",
    "LeavesSimulationError",
    "Record",
    "Recording",
    "RecordingDraws",
    "SimulatorError",
    "StuckSimulationError",
    "TapedDraws",
    "Timer",
    "Trace",
    "Unhandled",
    "chain_of_error",
    "current_context",
    "current_host",
    "digested",
    "error_text",
    "kind_of",
    "maker_of",
    "named",
    "outside",
    "own_error_in",
    "place_of_caller",
    "place_of_error",
    "record_kind",
    "steps_of_error",
    "ticks",
    "writable",
]

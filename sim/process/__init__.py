"""What one simulated worker has of its own, as every process has: modules, environment, logging, files.

`user_code` says which modules are the user's, `loading` loads them anew for each life of a worker, `own_state` lists what
else a process has of its own, `worker_process` lets all this be there while a worker runs. `output` takes what its code
prints. `address_free` keeps addresses in memory out of what libraries do. `own_files` lays a worker's files above those of
this machine, `file_calls` leads its code there (`folder_entries`, `sqlite_functions`), `opened_files` knows what a life has
open. What libraries keep in their modules is shared by all workers; `libraries` puts a bot's own versions of them in place
of this program's.
May import `relaysim.sim.kernel`. Begin with `WorkerProcesses`.
"""

from relaysim.sim.process.libraries import Libraries, LibrariesError, libraries_in
from relaysim.sim.process.user_code import is_shared
from relaysim.sim.process.worker_process import (
    Isolation,
    WorkerProcess,
    WorkerProcesses,
    running_process,
)

__all__ = [
    "Isolation",
    "Libraries",
    "LibrariesError",
    "WorkerProcess",
    "WorkerProcesses",
    "is_shared",
    "libraries_in",
    "running_process",
]

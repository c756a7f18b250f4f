"""`python -m relaysim.relay.program`."""

import sys

from relaysim.relay.program.main import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m relaysim.scenarios` is `relaysim`."""

import sys

from relaysim.scenarios.cli import main

if __name__ == "__main__":
    sys.exit(main())

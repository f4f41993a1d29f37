"""`python -m tokenmill.jobs`: the command, where the console script is not on the path."""

import sys

from tokenmill.jobs.cli import main

if __name__ == "__main__":  # worker processes import this file too
    sys.exit(main())

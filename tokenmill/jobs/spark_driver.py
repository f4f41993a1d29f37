"""What `spark-submit` starts: any command of Tokenmill, inside a Spark driver.

The session is the one that Spark configured; `tokenmill work JOBDIR --engine spark` runs the whole plan on it.
"""

import sys

from tokenmill.jobs.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

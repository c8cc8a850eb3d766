"""`python -m workers.child JOB ATTEMPT`."""

import sys

from workers.child.process import main

sys.exit(main(sys.argv[1:]))

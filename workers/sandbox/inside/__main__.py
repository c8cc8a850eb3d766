"""`python -m workers.sandbox.inside N` is how a sandbox starts, with its control socket as descriptor N."""

import os
import sys

from workers.sandbox.inside.zygote import CONTROL, MOST_FILES, main

os.dup2(int(sys.argv[1]), CONTROL)
os.closerange(CONTROL + 1, MOST_FILES)
main()

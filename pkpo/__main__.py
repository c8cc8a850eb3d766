"""`python -m pkpo`."""

import sys

from pkpo.cli import main

sys.exit(main())

"""``python -m bottlemux``."""

import sys

from bottlemux.cli.main import main

sys.exit(main())

"""`python -m modelserver` is `modelserver`."""

import sys

from modelserver.cli import main

sys.exit(main())

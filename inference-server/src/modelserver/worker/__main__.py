"""`python -m modelserver.worker`: started by the front, not by hand."""

import sys

from modelserver.worker.main import main

sys.exit(main(sys.argv[1:]))

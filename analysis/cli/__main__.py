"""``python -m analysis.cli`` is the ``gflow`` command."""

import sys

from analysis.cli import main

sys.exit(main())

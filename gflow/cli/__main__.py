"""``python -m gflow.cli`` is the ``gflow`` command."""

import sys

from gflow.cli import main

sys.exit(main())

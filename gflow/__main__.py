"""``python -m gflow`` is the ``gflow`` command."""

import sys

from gflow.cli import main

sys.exit(main())

"""`python -m apertura` is the command `apertura`."""

from __future__ import annotations

import sys

from apertura.cli.main import main

sys.exit(main())

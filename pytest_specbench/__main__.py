"""`python -m pytest_specbench`."""

from __future__ import annotations

import sys

from pytest_specbench.cli import main

sys.exit(main())

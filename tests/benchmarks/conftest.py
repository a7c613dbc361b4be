"""Benchmarks are scripts: what lies beside them is on their path, and so it is here."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

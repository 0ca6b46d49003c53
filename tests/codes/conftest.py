"""Lets the tests of this folder import their helper, perfect_codes.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

"""Lets the tests of this folder import their helper, stand_in.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

"""The trader's tests play in the paper world of the venue's tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "venues" / "paper"))

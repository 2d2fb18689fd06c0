"""The operator's web console: one page on top of `observe.view`, with the kill switch.

>>> console = mount(app, source, controls)      # cheap: NiceGUI is imported by the first request
>>> await console.close()
"""

from .app import Console, ConsoleError, mount
from .guard import LoopbackGuard

__all__ = ["Console", "ConsoleError", "LoopbackGuard", "mount"]

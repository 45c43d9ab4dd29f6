"""The command line and the screen of Velox; they know the engine only through its public names."""

from typing import Final

__version__: Final = "0.1.0"

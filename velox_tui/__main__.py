"""``python -m velox_tui`` is ``velox-tui``."""

import sys

from velox_tui.cli import main

if __name__ == "__main__":
    sys.exit(main())

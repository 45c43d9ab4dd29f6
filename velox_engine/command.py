"""What an engine is asked to do, and how that is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Command:
    """Something that the supervisor is asked to do; ``done`` is set when it has taken effect or failed.

    Whoever does not wait gives ``answered``, which is called then, from the supervisor's thread.
    """

    kind: str
    value: Any = None
    answered: Callable[[Exception | None], None] = lambda error: None
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def finish(self, error: Exception | None = None) -> None:
        """Answer it."""
        self.error = error
        self.done.set()
        self.answered(error)

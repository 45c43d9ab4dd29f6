"""A ring that is obviously right: the items that wait, and what each side has last seen of the other."""

from collections import deque


class PlainRing:
    """The ring of `velox_engine.lockfree.ring` for one thread, with its items in a queue."""

    def __init__(self, capacity, start):
        self.capacity = capacity
        self.waiting = deque()
        self.produced = self.consumed = start
        self.released_seen = self.published_seen = start
        self.high_water = 0

    def room(self, wanted):
        """The producer looks at the consumer only when it knows of less room than it wants."""
        if self.capacity - (self.produced - self.released_seen) < wanted:
            self.released_seen = self.consumed
        return self.capacity - (self.produced - self.released_seen)

    def publish(self, items):
        """Hand items over."""
        self.waiting.extend(items)
        self.produced += len(items)
        assert len(self.waiting) <= self.capacity

    def ready(self):
        """The consumer looks at the producer only when it knows of nothing."""
        if self.published_seen == self.consumed:
            self.published_seen = self.produced
            self.high_water = max(self.high_water, len(self.waiting))
        return self.published_seen - self.consumed

    def release(self, count):
        """Take items."""
        self.consumed += count
        return [self.waiting.popleft() for _ in range(count)]

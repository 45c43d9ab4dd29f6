"""A bundle stage that is obviously right: it takes one transaction after another, and bundles are rows of a list."""

from tests.plain_ring import PlainRing

BY_SIZE, BY_TIMEOUT, BY_DRAIN = range(3)


class PlainBundler:
    """The bundle stage of `velox_engine.stages.bundle`: it reads one plain ring of sequences and fills another."""

    def __init__(self, source, output_ring, slots, *, batch, max_size, timeout):
        self.source = source
        self.target = PlainRing(output_ring, 0)
        self.slots, self.batch, self.max_size, self.timeout = slots, batch, max_size, timeout
        self.open = []
        self.opened = 0
        self.bundles = []
        self.draining = False
        self.passed_on = False

    def flush(self, reason, now):
        """Close the open bundle if it has room to go to; say whether it had."""
        if self.target.room(1) == 0:
            return False
        self.bundles.append([self.open[0], len(self.open), reason, self.opened, now])
        self.target.publish([len(self.bundles) - 1])
        self.open = []
        return True

    def step(self, now):
        """Do one step; return how much it did, as the stage does."""
        ready = self.source.ready()
        full = len(self.open) == self.max_size
        late = bool(self.open) and now >= self.opened + self.timeout
        if ready == 0:
            if not self.open:
                self.passed_on = self.passed_on or self.draining
                return 0
            if not (full or late or self.draining):
                return 0
            return int(self.flush(BY_SIZE if full else BY_DRAIN if self.draining else BY_TIMEOUT, now))
        if (full or late) and not self.flush(BY_SIZE if full else BY_TIMEOUT, now):
            return 0
        at = self.source.consumed % self.slots
        taken = 0
        while taken < min(ready, self.batch, self.slots - at):
            if len(self.open) == self.max_size and not self.flush(BY_SIZE, now):
                break
            if not self.open:
                self.opened = now
            self.open += self.source.release(1)
            taken += 1
        if len(self.open) == self.max_size:
            self.flush(BY_SIZE, now)
        return taken

"""Recorded order flow: each format's bytes become batches of ``TRANSACTION``. `opening.open_feed` is the way in."""

"""Fates and their counts, as `was load` has them."""

from was.load.tally import Fate, Outcome, Tally, percentile

__all__ = ["Fate", "Outcome", "Tally", "percentile"]

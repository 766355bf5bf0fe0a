"""Whole fleets on a virtual clock: the real broker and refresher, a store and a partner in memory."""

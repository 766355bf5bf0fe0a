"""Whole fleets on a virtual clock: the real broker and maintainer, a store and a partner in memory."""

"""Typed fakes of the core's ports, and a virtual clock on which hours of waiting take milliseconds."""

"""Typed fakes of the core's ports, and a virtual clock that makes hours of waiting take milliseconds."""

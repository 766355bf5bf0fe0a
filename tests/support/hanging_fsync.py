"""A sidecar with a disk that a test can make hang: `python -m tests.support.hanging_fsync FIFO ARGUMENTS`.

While the FIFO exists, fsync does not return: it waits in the kernel until the FIFO is opened for writing.
"""

from __future__ import annotations

import os
import runpy
import sys

if __name__ == "__main__":
    fifo, real = sys.argv[1], os.fsync

    def fsync(descriptor: int) -> None:
        try:
            os.close(os.open(fifo, os.O_RDONLY))
        except FileNotFoundError:
            real(descriptor)

    os.fsync = fsync  # type: ignore[assignment]  # a disk that the test controls
    sys.argv = ["sidecar", *sys.argv[2:]]
    runpy.run_module("sidecar", run_name="__main__", alter_sys=True)

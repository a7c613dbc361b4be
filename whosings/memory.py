"""One allocator setting that makes networks on a CPU quicker (`benchmarks/training_step.py`)."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of glibc's mallopt
LARGEST = 2**31 - 1  # bytes


def keep_freed_memory() -> None:
    """
    Ask glibc to keep freed blocks instead of handing them back to the system after every layer.

    A step of training frees and takes gigabytes, a batch of windows to be classified hundreds of megabytes;
    without this some of their time goes into page faults. The process keeps what it once needed, and its
    peak is higher. Elsewhere than on glibc this does nothing; called again, nothing more.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, LARGEST)

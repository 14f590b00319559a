"""Memory that is free inside the process, handed back to the operating system."""

import ctypes
import gc


def give_back() -> None:
    """Return what freed tensors and models leave behind in the allocator.

    The C library keeps freed memory for later; a client that has just prepared its samples needs
    far less from then on, and other clients of the machine could use it. Does nothing on systems
    without glibc.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

"""The two ways in which work ends early, and how to tell that memory ran out."""

import errno


class SAMedError(Exception):
    """The work cannot be done. The message is one sentence for the user: what is wrong, and what to do."""


class Cancelled(Exception):
    """The user asked to stop; nothing half-written is left behind."""


# CUDA and MPS; PyTorch on the CPU of POSIX systems and of Windows; cuBLAS and cuDNN; ITK, C++, Python's threads, oneDNN
# and libraries that are loaded
_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "failed to allocate memory",
    "bad alloc",
    "bad_alloc",
    "can't start new thread",
    "could not create a primitive",
    "failed to map segment",
    "cannot allocate memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device, or the machine, has no memory left."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, (RuntimeError, ImportError)) and any(words in str(error).lower() for words in _NO_MEMORY)

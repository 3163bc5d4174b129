"""The two ways in which work ends early."""


class SAMedError(Exception):
    """The work cannot be done. The message is one sentence for the user: what is wrong, and what to do."""


class Cancelled(Exception):
    """The user asked to stop; nothing half-written is left behind."""

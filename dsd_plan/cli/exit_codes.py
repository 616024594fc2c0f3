"""What the shell is told."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every verb."""

    OK = 0
    BAD_INPUT = 1
    """A file, a trace, a profile or a measurement cannot be used as asked."""
    USAGE = 2
    INFEASIBLE = 3
    """No plan keeps every budget; or, asked of `capacity`, the plan breaks one at today's load already."""
    DISAGREES = 4
    """Model and replay disagree by more than the tolerance."""
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    """As a shell sees a program that SIGPIPE ended: the reader of the output went away."""

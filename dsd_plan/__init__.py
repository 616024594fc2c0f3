"""Plan distributed speculative decoding from measurements to a checked report."""

__version__ = "0.1.0"

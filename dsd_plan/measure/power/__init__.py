"""What a device draws, read from its own counters."""

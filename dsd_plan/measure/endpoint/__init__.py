"""A serving engine measured from outside, by the timing of its answers."""

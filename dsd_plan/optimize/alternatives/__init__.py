"""The ways to serve the fleet side by side, and what is tried around the best of them."""

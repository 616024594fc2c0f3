"""What an engine-like target does differently from a plain batch server, as the analytic model has it."""

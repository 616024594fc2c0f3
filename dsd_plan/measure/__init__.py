"""Real hardware and real models, measured: step times of a device, and how often a draft is accepted."""

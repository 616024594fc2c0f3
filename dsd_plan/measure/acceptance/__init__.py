"""How often a draft is accepted: recorded by running both models, or scored from logs."""

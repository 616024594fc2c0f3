"""A plan over a grid of what-ifs: every point a scenario of its own, predicted or replayed, in parallel, resumable."""

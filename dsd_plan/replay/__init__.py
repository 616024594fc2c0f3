"""Replays a plan event by event: pure, seeded, deterministic, and independent of the analytic model.

`from dsd_plan.replay.run import replay`.
"""

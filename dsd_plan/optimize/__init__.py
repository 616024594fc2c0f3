"""Chooses placement, mode, window and replicas, and explores what the choice hangs on.

Everything is judged by a model that is handed in, on whole plans: streams couple at the targets, so no workload
can be judged alone. Nothing here replays; `planning` hands in what it observed.
"""

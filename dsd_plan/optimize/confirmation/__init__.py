"""Replays what was found, beside today's system, through the day and without its drafts: how sure it is."""

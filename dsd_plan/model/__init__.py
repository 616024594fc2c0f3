"""Analytic prediction of a deployed plan: closed forms and fixed points, no events and no random numbers."""

from dsd_plan.model.anatomy import anatomies
from dsd_plan.model.break_even import break_even_rtt_ms, break_even_with, guesses_of
from dsd_plan.model.predict import predict
from dsd_plan.model.uncertainty import with_intervals

__all__ = ["anatomies", "break_even_rtt_ms", "break_even_with", "guesses_of", "predict", "with_intervals"]

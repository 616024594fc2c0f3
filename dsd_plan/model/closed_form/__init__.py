"""The first of the model's two speeds: means in microseconds, for searching among very many plans."""

from dsd_plan.model.closed_form.answers import Answers, predict_many
from dsd_plan.model.closed_form.systems import Systems, stacked, systems_of

__all__ = ["Answers", "Systems", "predict_many", "stacked", "systems_of"]

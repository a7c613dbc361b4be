"""The networks: one factory, one saved form."""

from whosings.models.factory import SYSTEMS, count_parameters, create
from whosings.models.store import ModelCard, load_model, save_model

__all__ = ["SYSTEMS", "ModelCard", "count_parameters", "create", "load_model", "save_model"]

"""The networks: one factory, one saved form."""

from whosings.models.factory import (
    SYSTEMS,
    System,
    attention_parameters,
    count_parameters,
    create,
    find_system,
)
from whosings.models.store import ModelCard, load_model, save_model

__all__ = [
    "SYSTEMS",
    "ModelCard",
    "System",
    "attention_parameters",
    "count_parameters",
    "create",
    "find_system",
    "load_model",
    "save_model",
]

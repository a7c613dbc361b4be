"""The saved form of a calibration: what turns scores into probabilities, and when a singer is unknown."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Unknown(BaseModel):
    """
    When a singer is none of those that the model can name.

    A known-ness score s stands for the probability sigmoid((s - threshold) / scale) that the singer is
    known; below one half the answer is "unknown".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_threshold: Finite
    song_threshold: Finite
    window_scale: Positive
    song_scale: Positive
    auroc: Annotated[float, Field(ge=0, le=1)] | None
    """area under the ROC over whole songs, known against unknown, among the songs fitted on"""
    songs: Annotated[int, Field(ge=1)]
    """how many songs it was fitted on"""


class Calibration(BaseModel):
    """What makes the scores of a model honest; `whosings.identify.calibration` fits it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_temperature: Positive
    """divides the log-probabilities of a window"""
    song_temperature: Positive
    """divides the log of a song's scores in the vote"""
    unknown: Unknown | None
    """nothing where the validation songs cannot tell known from unknown singers"""
    fitted_on: str
    """in words, such as "18 validation songs, each singer left out in turn\""""

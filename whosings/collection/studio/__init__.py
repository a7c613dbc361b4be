"""Songs rendered from registry packages alone: singers, bands, and a tie between them that is known."""

from __future__ import annotations

from whosings.collection.studio.bands import Band, accompany, bands
from whosings.collection.studio.render import render_collection
from whosings.collection.studio.voices import Voice, voices

__all__ = ["Band", "Voice", "accompany", "bands", "render_collection", "voices"]

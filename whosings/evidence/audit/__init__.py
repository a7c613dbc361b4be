"""Voice or band: how much of what a model knows of singers hangs on the accompaniment."""

from __future__ import annotations

from whosings.evidence.audit.model import AuditedModel, SavedModel, load_outside
from whosings.evidence.audit.run import Audit, audit, audit_run

__all__ = ["Audit", "AuditedModel", "SavedModel", "audit", "audit_run", "load_outside"]

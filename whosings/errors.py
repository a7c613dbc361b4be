"""The one family of errors that whosings raises on purpose: a sentence for people."""

from __future__ import annotations


class WhosingsError(Exception):
    """Something the user can mend; the message is one sentence that names the file and what to do."""


class UnreadableSoundError(WhosingsError):
    """A sound file that is missing, empty, broken or holds no audio."""

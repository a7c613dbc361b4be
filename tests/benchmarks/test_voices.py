"""The benchmarks of voices, on made-up prints: thresholds of small libraries, and the catalogue audit."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import misfits, voice_defaults
from tests.identify.test_misfits import Catalogue
from tests.voices.fake import heard


def test_small_libraries_name_singers_and_refuse_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_defaults, "DRAWS", 200)
    artists = np.repeat([f"voice{number}" for number in range(8)], 5)
    songs = np.stack([heard(artist, f"song{at}").song for at, artist in enumerate(artists)])
    known, strange = voice_defaults.small_libraries(songs, artists)
    assert known.shape == strange.shape == (200, voice_defaults.SINGERS)
    assert (known.argmax(axis=1) == 0).mean() > 0.9
    fitted = voice_defaults.fit(known, strange, 40, 8)
    own, strangers = voice_defaults.named(known, strange, fitted.known, fitted.margin)
    assert own > 0.9 and strangers < 0.1
    assert voice_defaults.named(known, strange, 1.1, 0.0) == (0.0, 0.0)
    assert voice_defaults.named(known, strange, -1.0, 0.0)[1] == 1.0


def test_moved_tracks_are_counted() -> None:
    songs = Catalogue()
    moved = misfits.moved_tracks(songs.artist_of, 3, np.random.default_rng(0))
    assert len(moved) == 3 and all(songs.artist_of[name] != artist for name, artist in moved.items())
    found = misfits.find_moved(songs.prints, songs.artist_of, moved)
    assert found == {"average_precision": 1.0, "moved": 3, "named": 3, "found": 3, "right_artist": 3}
    # the same told of as moved that are not: every figure falls
    wrong = {name: songs.artist_of[name] for name in list(songs.artist_of)[:3] if name not in moved}
    missed = misfits.find_moved(songs.prints, songs.artist_of, wrong)
    assert missed["found"] == missed["named"] == 0 and missed["average_precision"] < 1
    total = misfits.summed_up([found, missed])
    assert total["precision"] == 1.0 and total["recall"] == 3 / (3 + len(wrong))
    assert total["range"] == [missed["average_precision"], 1.0]

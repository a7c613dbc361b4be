from __future__ import annotations

import numpy as np
import pytest

from whosings.audio.frontend import SINGER
from whosings.collection.windows import cut, window_starts


@pytest.mark.parametrize(("seconds", "frames"), [(3, 94), (5, 157), (10, 313)])
def test_frames_of_a_window(seconds: int, frames: int) -> None:
    assert SINGER.window_frames(seconds) == frames


@pytest.mark.parametrize(
    ("frames", "length", "hop", "starts"),
    [
        (282, 94, None, [0, 94, 188]),
        (300, 94, None, [0, 94, 188, 206]),
        (94, 94, None, [0]),
        (95, 94, None, [0, 1]),
        (10, 94, None, [0]),
        (200, 100, 50, [0, 50, 100]),
        (210, 100, 50, [0, 50, 100, 110]),
        (300, 100, 150, [0, 150, 200]),
    ],
)
def test_starts_keep_the_last_piece(frames: int, length: int, hop: int | None, starts: list[int]) -> None:
    assert window_starts(frames, length, hop).tolist() == starts


@pytest.mark.parametrize(("frames", "length", "hop"), [(0, 94, None), (10, 0, None), (10, 5, 0)])
def test_impossible_windows(frames: int, length: int, hop: int | None) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        window_starts(frames, length, hop)


def test_a_window_is_a_copy() -> None:
    log_mel = np.asfortranarray(np.arange(128 * 20, dtype=np.float32).reshape(128, 20))
    log_mel.flags.writeable = False
    window = cut(log_mel, 5, 10)
    np.testing.assert_array_equal(window, log_mel[:, 5:15])
    assert window.flags.c_contiguous and window.flags.writeable and not np.shares_memory(window, log_mel)


def test_a_short_track_is_repeated() -> None:
    log_mel = np.arange(128 * 3, dtype=np.float32).reshape(128, 3)
    window = cut(log_mel, 0, 8)
    assert window.shape == (128, 8) and window.dtype == np.float32
    np.testing.assert_array_equal(window, log_mel[:, [0, 1, 2, 0, 1, 2, 0, 1]])

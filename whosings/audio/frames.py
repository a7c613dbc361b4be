"""Frames of a stream: centred on every hop, zeros beyond both ends, in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from whosings.audio.units import HOP

BATCH = 64  # frames worked on at a time: what is made of them stays in the processor's cache


def frame_batches(blocks: Iterable[np.ndarray], window: int, hop: int = HOP) -> Iterator[np.ndarray]:
    """
    Cut blocks `(samples,)` of a song into batches of its frames, float32 views `(up to 64, window)`.

    Frame t is centred on sample hop * t; in all there are 1 + samples // hop. How the song is cut into blocks
    makes no difference.

    Raises ValueError where there is no sample at all, or a block has more than one dimension.
    """
    stretch = (BATCH - 1) * hop + window  # samples under the frames of a batch
    padding = np.zeros(window // 2, dtype=np.float32)
    held, waiting, heard = padding, [], 0
    for block in chain(blocks, [padding]):
        if block.ndim != 1:
            raise ValueError(f"blocks must have the shape (samples,), not {block.shape}")
        heard += len(block)
        waiting.append(block.astype(np.float32, copy=False))
        if len(held) + sum(map(len, waiting)) < stretch:
            continue
        held, waiting = np.concatenate([held, *waiting]), []
        while len(held) >= stretch:
            yield sliding_window_view(held[:stretch], window)[::hop]
            held = held[BATCH * hop :]
    if heard == len(padding):
        raise ValueError("there is not one sample to listen to")
    held = np.concatenate([held, *waiting])
    if len(held) >= window:
        yield sliding_window_view(held, window)[::hop]

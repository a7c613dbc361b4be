"""Speech by espeak-ng through ctypes: a word in, samples out, the same ones every time."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whosings.errors import WhosingsError

SPEECH_RATE = 22_050  # Hz, the only one espeak-ng speaks at
_RETRIEVAL = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples come by the callback
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_WORDS_PER_MINUTE = 170
_UTF8 = 1  # espeakCHARS_UTF8
_SEED = 7
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Speaker:
    """
    One espeak-ng voice that speaks on one note.

    espeak-ng keeps the phase of its oscillators from word to word and from voice to voice, and seeds its
    noise from the clock. A private copy of the library and a fixed seed make every new Speaker say the same
    words, in the same order, sample by sample the same.

    Raises WhosingsError where espeak-ng does not know the voice.
    """

    def __init__(self, voice: str) -> None:
        self._blocks: list[NDArray[np.int16]] = []
        self._callback = _Callback(self._take)  # kept: ctypes frees it otherwise
        self._library = _private_library()
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise WhosingsError(f"espeak-ng has no voice {voice}; install espeakng-loader again.")
        for parameter, value in ((_RATE, _WORDS_PER_MINUTE), (_PITCH, 50), (_RANGE, 0)):
            self._library.espeak_SetParameter(parameter, value, 0)

    def say(self, word: str) -> NDArray[np.float64]:
        """Speak `word`; returns (samples,) at SPEECH_RATE in [-1, 1)."""
        self._blocks.clear()
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
        text = word.encode()
        self._library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._blocks:
            raise WhosingsError(f"espeak-ng is silent at {word!r}; install espeakng-loader again.")
        return np.concatenate(self._blocks) / 32_768.0

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


def _private_library() -> ctypes.CDLL:
    """Load espeak-ng from a copy of its file, so that its static state is new."""
    import espeakng_loader

    path = Path(espeakng_loader.get_library_path())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = shutil.copy(path, Path(folder) / path.name)
        library = ctypes.CDLL(str(copy))
    data = str(espeakng_loader.get_data_path()).encode()
    if library.espeak_Initialize(_RETRIEVAL, 0, data, 0) != SPEECH_RATE:
        raise WhosingsError("espeak-ng did not start; install espeakng-loader again.")
    return library

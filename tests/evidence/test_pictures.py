import threading

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import image

from whosings.audio.frontend import KALDI
from whosings.audio.units import N_MELS
from whosings.errors import WhosingsError
from whosings.evidence import pictures
from whosings.evidence.metrics import ReliabilityBin

# the first is broken mathematics, if it is taken for mathematics
NAMES = [r"Ke$ha \nosuch A$AP", "鄧麗君", "A singer whose name is far too long for a picture"]
BLUES_0 = np.array([247, 251, 255]) / 255  # the lightest colour of the matrix


def pixels(path):
    """The colours (height, width, 3) of a PNG, 0 to 1."""
    return image.imread(path)[:, :, :3]


def share_of(colour, path, tolerance=0.02):
    """How much of a picture has about this colour, 0 to 1."""
    return float(np.mean(np.all(np.abs(pixels(path) - np.asarray(colour)) < tolerance, axis=-1)))


@pytest.fixture
def song():
    """Arguments of a song picture: 20 s of quiet, 7 windows, 3 singers."""
    probabilities = np.eye(3)[[0, 0, 1, 0, 2, 0, 0]] * 0.9 + 0.1 / 3
    return {
        "log_mel": np.full((N_MELS, 625), -80.0) + np.eye(N_MELS, 625) * 80,
        "heat": None,
        "window_probabilities": probabilities,
        "starts_seconds": np.arange(7) * 2.5,
        "singers": NAMES,
    }


def test_confusion_matrix_shows_shares_of_rows(tmp_path):
    path, other = tmp_path / "one.png", tmp_path / "two.png"
    pictures.confusion_matrix(path, np.array([[5, 0, 0], [0, 500, 0], [0, 0, 5]]), NAMES, "title")
    right = share_of(mpl.colormaps["Blues"](1.0)[:3], path)
    pictures.confusion_matrix(other, np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0]]), NAMES, "title")
    assert right > 0.05
    assert share_of(mpl.colormaps["Blues"](1.0)[:3], other) < right / 4  # what remains is the colour bar
    assert share_of(BLUES_0, other) > share_of(BLUES_0, path)


@pytest.mark.parametrize("singers", [1, 40])
def test_confusion_matrix_of_any_size(tmp_path, singers):
    path = tmp_path / "deep" / "matrix.png"
    pictures.confusion_matrix(path, np.eye(singers, dtype=int), [f"singer {i}" for i in range(singers)])
    assert max(pixels(path).shape) < 2500


def test_reliability_diagram_is_drawn(tmp_path):
    path = tmp_path / "reliability.png"
    pictures.reliability_diagram(path, [ReliabilityBin(0.5, 1.0, 10, 0.8, 0.6)], "windows")
    assert share_of(mpl.colors.to_rgb(pictures.FAINT), path) > 0.02


def test_song_picture_shows_winners_and_heat(tmp_path, song):
    plain, heated = tmp_path / "plain.png", tmp_path / "heated.png"
    pictures.song_picture(plain, **song, title="A song")
    heat = np.zeros((N_MELS, 625))
    heat[40:80, 100:300] = 1
    pictures.song_picture(heated, **{**song, "heat": heat})
    strongest = 1 - 0.75 * (1 - np.array(mpl.colors.to_rgb(pictures.VERMILION)))
    assert share_of(strongest, plain) == 0
    assert share_of(strongest, heated) > 0.04
    blue = 1 - (0.15 + 0.85 * (0.9 + 0.1 / 3)) * (1 - np.array(mpl.colors.to_rgb(pictures.BLUE)))
    assert share_of(blue, plain) > 0.03


def test_song_picture_of_many_winners_and_of_one_window(tmp_path, song):
    many = {
        **song,
        "window_probabilities": np.eye(20),
        "starts_seconds": np.arange(20),
        "singers": list("abcdefghijklmnopqrst"),
    }
    pictures.song_picture(tmp_path / "many.png", **many)
    one = {**song, "window_probabilities": np.eye(3)[:1], "starts_seconds": [0.0]}
    pictures.song_picture(tmp_path / "one.png", **one)
    assert pixels(tmp_path / "many.png").shape[0] > pixels(tmp_path / "one.png").shape[0]


def test_mel_bands_are_those_of_librosa():
    import librosa

    centres = librosa.mel_frequencies(N_MELS + 2, fmin=0, fmax=8000)[1:-1]
    np.testing.assert_allclose(pictures.mel_places(centres), np.arange(N_MELS), atol=1e-9)


def test_a_song_of_another_front_end_is_as_long_and_as_high(tmp_path, song):
    """The same heat, in the same seconds and from 500 to 2000 Hz, covers the same part of the picture."""
    usual, kaldi = tmp_path / "usual.png", tmp_path / "kaldi.png"
    heat = np.zeros((N_MELS, 625))
    low, high = pictures.mel_places(np.array([500, 2000]))
    heat[round(low) : round(high), 125:375] = 1
    pictures.song_picture(usual, **{**song, "heat": heat})
    log_mel, heat = np.full((80, 2000), -80.0), np.zeros((80, 2000))
    log_mel[0, 0] = 0
    low, high = pictures.mel_places(np.array([500, 2000]), KALDI)
    assert (round(low), round(high)) == (16, 42)  # 607 and 1521 mel, in steps of 34.7 from 66.4 on
    heat[round(low) : round(high), 400:1200] = 1
    pictures.song_picture(kaldi, **{**song, "log_mel": log_mel, "heat": heat}, front_end=KALDI)
    strongest = 1 - 0.75 * (1 - np.array(mpl.colors.to_rgb(pictures.VERMILION)))

    def spot(path):
        """Where the heat lies: (left, right) in pixels."""
        hot = np.all(np.abs(pixels(path) - strongest) < 0.02, axis=-1)[:, :1100].any(axis=0)
        return np.flatnonzero(hot)[[0, -1]]

    np.testing.assert_allclose(spot(kaldi), spot(usual), atol=3)


def test_misfits_are_told_and_leave_no_file(tmp_path, song):
    path = tmp_path / "no.png"
    for draw in (
        lambda: pictures.confusion_matrix(path, np.eye(2), NAMES),
        lambda: pictures.confusion_matrix(path, np.zeros((0, 0)), []),
        lambda: pictures.reliability_diagram(path, []),
        lambda: pictures.song_picture(path, **{**song, "heat": np.zeros((2, 2))}),
        lambda: pictures.song_picture(path, **{**song, "starts_seconds": []}),
        lambda: pictures.song_picture(path, **song, front_end=KALDI),
        lambda: pictures.song_picture(path, **{**song, "singers": ["a"]}),
    ):
        with pytest.raises(WhosingsError, match=r"no\.png: "):
            draw()
    (tmp_path / "file").write_text("")
    with pytest.raises(WhosingsError, match="cannot be written"):
        pictures.reliability_diagram(tmp_path / "file" / "x.png", [ReliabilityBin(0, 1, 1, 0.5, 1.0)])
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_settings_of_the_process_survive_threads(tmp_path):
    before = dict(mpl.rcParams)
    table = [ReliabilityBin(0, 1, 1, 0.5, 1.0)]
    threads = [
        threading.Thread(target=pictures.reliability_diagram, args=(tmp_path / f"{index}.png", table))
        for index in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(mpl.rcParams) == before
    assert len(list(tmp_path.iterdir())) == 4

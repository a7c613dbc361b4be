import pytest

from whosings.errors import WhosingsError
from whosings.evidence.answers import WindowRow
from whosings.evidence.bias import differences, estimates


def rows(right: dict[str, int], windows: int = 10) -> list[WindowRow]:
    """`right` of the windows of each voice song (artist/album) are right, laid over two bands."""
    made = []
    for song, count in right.items():
        artist = song.split("/")[0]
        for number in range(windows):
            answer = artist if number < count else "somebody"
            made.append(WindowRow(f"{song}/over band {number % 2}", float(number), artist, answer, 0.5))
    return made


def run(tied: int, free: int, swapped: int) -> dict[str, list[WindowRow]]:
    songs = [f"{artist}/{album}" for artist in ("Ada", "Bo") for album in ("One", "Two", "Three")]
    return {
        test: rows(dict.fromkeys(songs, count))
        for test, count in (("tied", tied), ("free", free), ("swapped", swapped))
    }


def test_figures_and_gap() -> None:
    found = estimates([run(9, 7, 4), run(7, 5, 4)])
    assert {name: round(value.mean, 6) for name, value in found.items()} == {
        "tied": 0.8,
        "free": 0.6,
        "swapped": 0.4,
        "gap": 0.4,
    }
    assert found["gap"].runs == pytest.approx([0.5, 0.3])
    assert found["gap"].interval == pytest.approx((0.4, 0.4))  # all songs alike: nothing to draw


def test_songs_that_differ_widen_the_interval_and_a_paired_gap_stays_narrow() -> None:
    songs = {
        f"{artist}/{album}": count for artist in ("Ada", "Bo") for album, count in (("One", 10), ("Two", 2))
    }
    fewer = {song: count - 2 for song, count in songs.items()}
    found = estimates([{"tied": rows(songs), "free": rows(songs), "swapped": rows(fewer)}])
    low, high = found["tied"].interval
    assert high - low > 0.3
    assert found["gap"].interval == pytest.approx((0.2, 0.2))


def test_differences_are_paired() -> None:
    found = differences([run(9, 7, 4), run(8, 7, 4)], [run(9, 7, 7), run(8, 6, 7)])
    assert found["gap"].mean == pytest.approx(0.3)
    assert found["gap"].interval == pytest.approx((0.3, 0.3))
    assert found["free"].runs == pytest.approx([0.0, 0.1])


def test_what_cannot_be_compared() -> None:
    with pytest.raises(WhosingsError, match="2 runs cannot be paired with 1"):
        differences([run(1, 1, 1)] * 2, [run(1, 1, 1)])
    with pytest.raises(WhosingsError, match="windows in the tests tied, free, swapped"):
        estimates([{"tied": rows({"Ada/One": 1})}])

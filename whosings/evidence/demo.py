"""The demo: songs rendered on the spot, a model trained on them, unseen albums scored, a page to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from whosings.collection.catalogue import Collection, open_collection
from whosings.collection.features import FeatureStore
from whosings.collection.splits import make_split
from whosings.collection.studio import render_collection
from whosings.collection.track import Source
from whosings.evidence.answers import SongRow
from whosings.evidence.evaluate import CONFUSION, REPORT, Evaluation, evaluate
from whosings.evidence.explain import explain
from whosings.evidence.report import SongStory, write_report
from whosings.identify.identifier import Identifier, calibrate
from whosings.identify.ladder import Identification
from whosings.models import load_model
from whosings.progress import bar
from whosings.training.recipe import load_recipe
from whosings.training.record import CURVES, Training
from whosings.training.run import train

ALBUMS = 3  # of each singer: one trains, one validates, one tests
WINDOW_SECONDS = 3
SEED = 0


@dataclass(frozen=True)
class DemoSize:
    """How much is rendered, and what the recipe is changed by."""

    singers: int = 8
    songs: int = 3
    """of each album"""
    seconds: float = 20.0
    """of each song"""
    overrides: tuple[str, ...] = ()
    """such as epochs=2"""

    @property
    def intro(self) -> str:
        """What the page says first."""
        return (
            f"{self.singers} invented singers, {ALBUMS} albums each, rendered on this machine. Of each "
            "singer one album trained the model, its voice over other songs' bands; one chose the best epoch "
            "and the vote; and one, scored here, was never heard before."
        )


DEMO = DemoSize()


@dataclass(frozen=True)
class DemoResult:
    """What the demo shows in the end."""

    metrics: dict[str, Any]
    identification: Identification
    report: Path


def run_demo(out: Path, size: DemoSize = DEMO) -> DemoResult:
    """
    Run the whole ladder once in the folder `out`; what is there already is kept.

    Raises WhosingsError where the studio extra is missing or `out` holds something else.
    """
    songs, run, store = out / "songs", out / "run", FeatureStore(out / "cache")
    with bar("Rendering songs", size.singers * ALBUMS * size.songs) as progress:
        render_collection(
            songs,
            singers=size.singers,
            albums=ALBUMS,
            songs=size.songs,
            seconds=size.seconds,
            seed=SEED,
            on_song=progress.reach,
        )
    collection = open_collection(songs)
    split = make_split(collection, "kuo", SEED)
    recipe = load_recipe("demo", size.overrides)
    training = Training(collection, split, recipe, WINDOW_SECONDS, Source(), SEED)
    train(training, run, store)
    calibrate(run, training, store)
    evaluation = evaluate(run, store=store)
    scored = evaluation.answers.songs
    song = scored[len(scored) // 2]  # neither the surest nor the least sure
    identification = Identifier(run).identify(_mix_of(collection, song))
    report = out / REPORT
    _write_page(report, run, collection, store, evaluation, song, size.intro)
    return DemoResult(evaluation.metrics, identification, report)


def _mix_of(collection: Collection, song: SongRow) -> Path:
    mix = collection.track(song.track).parts[0].mix
    assert mix is not None  # the studio writes a mix for every song
    return mix.path


def _write_page(
    report: Path,
    run: Path,
    collection: Collection,
    store: FeatureStore,
    evaluation: Evaluation,
    song: SongRow,
    intro: str,
) -> None:
    network, card = load_model(run)
    track = collection.track(song.track)
    picture = run / "song.png"
    found = explain(network, card, track, store, picture, song.track)
    story = SongStory(
        track=song.track,
        singer=song.singer,
        answer=found.answer.singer,
        confidence=found.answer.confidence,
        runner_up=found.answer.runner_up,
        listen_from=found.listen_from,
        listen_to=found.listen_to,
        picture=picture,
        sound=quote(_mix_of(collection, song).relative_to(report.parent).as_posix()),
    )
    write_report(
        report,
        metrics=evaluation.metrics,
        songs=evaluation.answers.songs,
        images={"Who is taken for whom": run / CONFUSION, "Learning": run / CURVES},
        title="Who sings? A demo",
        intro=intro,
        story=story,
    )

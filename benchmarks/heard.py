"""What benchmarks of voices share: a command line, what is heard of a collection, and the prints of that."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from whosings.collection.features import FeatureStore, default_cache
from whosings.collection.track import Source, Track
from whosings.voices.catalogue import print_tracks
from whosings.voices.encoder import ENCODERS, PRETRAINED, Voiceprinter
from whosings.voices.prints import Prints

SYSTEMS = {encoder: system for system, encoder in ENCODERS.items()}


def parser_of(about: str | None, kinds: Sequence[str] = ("mix", "vocals")) -> argparse.ArgumentParser:
    """Give a command line `about` a benchmark, that hears one of some `kinds`, by default the first."""
    asked = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("collection", type=Path)
    asked.add_argument("--encoder", choices=SYSTEMS, default=ENCODERS[PRETRAINED])
    asked.add_argument("--hear", choices=kinds, default=kinds[0])
    asked.add_argument("--mix-db", type=float, default=None)
    asked.add_argument("--out", type=Path)
    return asked


def voiceprinter_of(given: argparse.Namespace, run: Path | None = None) -> Voiceprinter:
    """Give the encoder of a run, or a pretrained one, that hears what is asked for on the command line."""
    printer = Voiceprinter(run, system=SYSTEMS[given.encoder])
    printer.source = {
        "mix": Source("mix", given.mix_db),
        "vocals": Source("vocals"),
        "separated": Source("vocals", given.mix_db, "spleeter"),
    }[given.hear]
    return printer


def prints_of(tracks: Iterable[Track], printer: Voiceprinter) -> tuple[dict[str, Prints], dict[str, str]]:
    """Give prints by track id, kept in the feature cache, and why other tracks have none."""
    return print_tracks(tracks, printer, FeatureStore(default_cache()))

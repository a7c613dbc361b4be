"""Voiceprints: enrol singers without training, say who it is among them, search songs by voice."""

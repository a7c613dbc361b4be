"""Voiceprints: a pretrained speaker encoder, its pooling an attention map that LCA can train."""

"""Artifacts on disk under their keys, and the digest of the source that makes one. Knows bytes and files alone: not
what a stage is, nor what else a key is made of."""

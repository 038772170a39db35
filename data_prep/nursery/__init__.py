"""The nursery: a procedural world, written as videos, transcripts and boxes."""

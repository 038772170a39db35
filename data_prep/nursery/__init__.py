"""The nursery: a procedural world written as a raw corpus of videos, transcripts, boxes."""

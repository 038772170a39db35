"""Results of a run folder -> a table on stdout and one self-contained HTML page."""

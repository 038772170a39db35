"""Names and layouts of the same weights in torch; see `table`."""

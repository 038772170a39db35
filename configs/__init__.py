"""One file per run: what to build, train or evaluate, and with which figures."""

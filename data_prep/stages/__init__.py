"""The stages of `data_prep.build`, each on its own and most of them pure."""

"""From the official archives of a dataset to the folders that its config reads."""

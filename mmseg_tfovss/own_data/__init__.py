"""Datasets of the user's own: from a folder of images, one of masks and a class file to configs that run."""

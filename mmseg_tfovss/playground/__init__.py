"""A page to play with: an image, words, one to four methods, and their overlays side by side (``tfovss app``)."""

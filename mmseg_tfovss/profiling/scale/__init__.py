"""How cost grows with the size of the image, the number of words and the size of the batch."""

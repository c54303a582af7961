"""What a run needs from elsewhere: where it is, what is missing, and how it gets here."""

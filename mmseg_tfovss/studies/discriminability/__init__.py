"""What do layers and heads of CLIP know about space and meaning? LHT-CLIP."""

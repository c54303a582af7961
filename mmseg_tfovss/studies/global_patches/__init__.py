"""The "global patches" of CLIP, and what CLIPtrase does about them."""

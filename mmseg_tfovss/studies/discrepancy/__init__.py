"""What does DSLO make of one image?"""

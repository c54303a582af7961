"""Which reading of DSLO's equations scores best where there is something to gain? On planted logits and graphs."""

# CLIPtrase at 336 pixels with SAM's masks (the paper's section 4.4).
_base_ = "./cliptrase.py"
setting = "336 pixels"
model = dict(type="CLIPtraseSAM", sam=dict(type="SAM"))

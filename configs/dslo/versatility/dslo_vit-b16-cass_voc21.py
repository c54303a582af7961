# "CASS B/16, w/ M.V." of the paper's table of other methods (supplement): DSLO's settings, over CASS's logits with
# CASS's settings for this dataset.
_base_ = "../dslo_vit-b16_voc21.py"
model = dict(
    base=dict(type="CASS", vfm=dict(type="DINO", pretrained="facebook/dino-vitb8"), gamma=0.1, alpha=0.03, t=0.1)
)
unified = dict(model=dict(base=dict(gamma=0.25, alpha=0.03, t=0.1, eigenscaling=True)))

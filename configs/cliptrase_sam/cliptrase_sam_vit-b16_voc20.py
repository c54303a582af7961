_base_ = "../cliptrase/cliptrase_vit-b16_voc20.py"
model = dict(type="CLIPtraseSAM", sam=dict(type="SAMMaskEncoder"))
unified = "its windows slide, and SAM finds the regions of a whole image"

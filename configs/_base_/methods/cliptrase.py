# Settings of leaves162/CLIPtrase @ 2b7de61 for 336 pixels; the leaves
# vit-b16-224 have those for 224. Its names for the datasets: ADE150, ADEfull, COCO80 (coco_object), COCO171
# (coco_stuff164k), PC59, PC60, PC459, VOC20, VOC21.
# In the unified protocol each window is clustered by itself: `unified`, and leaves for it alone, have the eps and
# min_samples for 224 pixels, the size of a window (pocket: 8 x 8 patches).
_base_ = ["../encoders/vit-b16.py", "../runtime.py"]
protocol = "paper"
model = dict(
    type="CLIPtrase",
    short_side=336,
    centre_square=True,
    eps=1.1,
    min_samples=7,
    decode_head=dict(type="TextHead"),
    test_cfg=dict(mode="whole"),
)

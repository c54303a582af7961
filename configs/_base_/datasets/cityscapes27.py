_base_ = "./_loader.py"
dataset = "cityscapes27"
unified = dict(model=dict(short_side=560, decode_head=dict(vocabulary="cityscapes27")))
test_dataloader = dict(
    dataset=dict(
        type="Cityscapes27Dataset",
        data_root="data/cityscapes",
        data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
    ),
)

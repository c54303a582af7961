_base_ = "./_loader.py"
dataset = "cityscapes"
unified = dict(model=dict(short_side=560, decode_head=dict(vocabulary="cityscapes")))
test_dataloader = dict(
    dataset=dict(
        type="CityscapesDataset",
        data_root="data/cityscapes",
        data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
    ),
)

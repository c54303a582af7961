_base_ = "./_loader.py"
dataset = "coco_stuff164k"
unified = dict(model=dict(decode_head=dict(vocabulary="coco_stuff164k")))
test_dataloader = dict(
    dataset=dict(
        type="COCOStuffDataset",
        data_root="data/coco_stuff164k",
        data_prefix=dict(img_path="images/val2017", seg_map_path="annotations/val2017"),
    ),
)

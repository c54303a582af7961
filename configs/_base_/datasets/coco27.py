_base_ = "./_loader.py"
dataset = "coco27"
unified = dict(model=dict(decode_head=dict(vocabulary="coco27")))
test_dataloader = dict(
    dataset=dict(
        type="COCO27Dataset",
        data_root="data/coco_stuff164k",
        ann_file="coco27_val2017.txt",
        data_prefix=dict(img_path="images/val2017", seg_map_path="annotations/val2017"),
    ),
)

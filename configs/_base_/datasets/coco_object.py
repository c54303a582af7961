_base_ = "./_loader.py"
dataset = "coco_object"
unified = dict(model=dict(decode_head=dict(vocabulary="coco_object", prob_threshold=0.1)))
test_dataloader = dict(
    dataset=dict(
        type="COCOObjectDataset",
        data_root="data/coco_stuff164k",
        data_prefix=dict(img_path="images/val2017", seg_map_path="annotations/val2017"),
    ),
)

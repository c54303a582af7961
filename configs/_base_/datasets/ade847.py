_base_ = "./_loader.py"
dataset = "ade847"
unified = dict(model=dict(decode_head=dict(vocabulary="ade847")))
test_dataloader = dict(
    dataset=dict(
        type="ADE20K847Dataset",
        data_root="data/ADE20K_2021_17_01",
        ann_file="validation.txt",
        data_prefix=dict(img_path="images_detectron2/validation", seg_map_path="annotations_detectron2/validation"),
    ),
)

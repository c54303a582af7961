_base_ = "./_loader.py"
dataset = "context60"
unified = dict(model=dict(decode_head=dict(vocabulary="context60", prob_threshold=0.1)))
test_dataloader = dict(
    dataset=dict(
        type="PascalContextDataset",
        data_root="data/VOCdevkit/VOC2010",
        ann_file="ImageSets/SegmentationContext/val.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassContext"),
    ),
)

_base_ = "./_loader.py"
dataset = "context59"
unified = dict(model=dict(decode_head=dict(vocabulary="context59")))
test_dataloader = dict(
    dataset=dict(
        type="PascalContextDataset59",
        data_root="data/VOCdevkit/VOC2010",
        ann_file="ImageSets/SegmentationContext/val.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassContext"),
    ),
)

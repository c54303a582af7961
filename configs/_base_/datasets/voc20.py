_base_ = "./_loader.py"
dataset = "voc20"
unified = dict(model=dict(decode_head=dict(vocabulary="voc20")))
test_dataloader = dict(
    dataset=dict(
        type="PascalVOC20Dataset",
        data_root="data/VOCdevkit/VOC2012",
        ann_file="ImageSets/Segmentation/val.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
    ),
)

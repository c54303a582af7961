_base_ = "./_loader.py"
dataset = "pc459"
unified = dict(model=dict(decode_head=dict(vocabulary="pc459")))
test_dataloader = dict(
    dataset=dict(
        type="PascalContext459Dataset",
        data_root="data/VOCdevkit/VOC2010",
        ann_file="ImageSets/SegmentationContext/val.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="annotations_detectron2/pc459_val"),
    ),
)

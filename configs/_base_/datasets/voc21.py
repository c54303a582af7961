_base_ = "./_loader.py"
dataset = "voc21"
unified = dict(model=dict(decode_head=dict(vocabulary="voc21", prob_threshold=0.1)))
test_dataloader = dict(
    dataset=dict(
        type="PascalVOCDataset",
        data_root="data/VOCdevkit/VOC2012",
        ann_file="ImageSets/Segmentation/val.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
    ),
)

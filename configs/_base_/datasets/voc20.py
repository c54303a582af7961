dataset = "voc20"
short_side = 336
data_root = "data/VOCdevkit/VOC2012"
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(
        type="PascalVOC20Dataset",
        data_root=data_root,
        ann_file="ImageSets/Segmentation/val.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="ResizeShortSide", short_side=short_side),
            dict(type="LoadLabels"),
            dict(type="PackSegInputs", meta_keys=("img_path", "seg_map_path", "ori_shape", "img_shape")),
        ],
    ),
)

dataset = "coco_stuff164k"
short_side = 336
data_root = "data/coco_stuff164k"
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(
        type="COCOStuffDataset",
        data_root=data_root,
        data_prefix=dict(img_path="images/val2017", seg_map_path="annotations/val2017"),
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="ResizeShortSide", short_side=short_side),
            dict(type="LoadLabels"),
            dict(type="PackSegInputs", meta_keys=("img_path", "seg_map_path", "ori_shape", "img_shape")),
        ],
    ),
)

# What all datasets share. short_side is written into ResizeShortSide when the config is loaded.
short_side = 336
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),  # no image is counted twice
    dataset=dict(
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="ResizeShortSide", short_side=short_side),
            dict(type="LoadLabels"),
            dict(type="PackSegInputs", meta_keys=("img_path", "seg_map_path", "ori_shape", "img_shape")),
        ],
    ),
)

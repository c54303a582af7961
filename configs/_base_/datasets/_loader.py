# What all datasets share. load_config writes short_side into ResizeShortSide.
short_side = 336
# The unified protocol: it takes the place of the authors' settings under protocol = "unified", for every method.
# Each dataset adds its vocabulary, and 0.1 as background threshold where class 0 is the background.
unified = dict(
    short_side=short_side,
    model=dict(
        pamr_steps=0,
        decode_head=dict(
            type="TextHead",
            templates="imagenet80",
            background=None,
            logit_scale=40,
            prob_threshold=0,
            area_threshold=None,
        ),
        test_cfg=dict(mode="slide", crop_size=224, stride=112),
    ),
)
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
test_evaluator = dict(type="SegmentationMetric")

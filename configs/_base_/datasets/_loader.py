import os

# What all datasets share. Images come as they are in their files: their size is a setting of the model.
# Under MMSegmentation's names of the transforms, and once more at the top, because its functions look for them there.
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs", meta_keys=("img_path", "seg_map_path", "ori_shape", "img_shape")),
]
# The unified protocol: it takes the place of the authors' settings under protocol = "unified", for every method.
# Each dataset adds its vocabulary, and 0.1 as background threshold where class 0 is the background. Leaves that have
# this protocol only write it into their model: model = dict(_base_.unified.model, ...).
unified = dict(
    model=dict(
        short_side=336,
        centre_square=False,
        stretch_to_square=False,
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
    test_dataloader=dict(dataset=dict(pipeline=test_pipeline)),
    test_evaluator=dict(_delete_=True, type="SegmentationMetric"),
)
test_dataloader = dict(
    batch_size=1,
    # No more than the cores that this process may use; no number depends on it.
    num_workers=min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1),
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),  # no image is counted twice
    dataset=dict(test_mode=True, pipeline=test_pipeline),
)
test_evaluator = dict(type="SegmentationMetric")

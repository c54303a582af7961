dataset = "pocket_all"
short_side = 192
data_root = "data/pocket"
test_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
    dataset=dict(
        type="PocketAllDataset",
        data_root=data_root,
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="ResizeShortSide", short_side=short_side),
            dict(type="LoadLabels"),
            dict(type="PackSegInputs", meta_keys=("img_path", "seg_map_path", "ori_shape", "img_shape")),
        ],
    ),
)

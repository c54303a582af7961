# As leaves162/CLIPtrase @ 2b7de61 evaluates: the centre square of the resized image, at that size; images without any
# label are left out.
# "COCO80": COCO-Stuff's labels, of which the 80 things count, and as background what is unlabelled (255) or a banner
# (80); other stuff does not count at all.
_base_ = "../coco_object.py"
test_dataloader = dict(
    dataset=dict(
        seg_map_suffix="_labelTrainIds.png",
        pipeline=[
            dict(type="LoadImage"),
            dict(type="LoadLabels"),
            dict(type="CentreSquare", short_side=336),
            dict(
                type="Relabel",
                mapping={**{i: i + 1 for i in range(80)}, **dict.fromkeys(range(81, 171), 254), 80: 0, 255: 0},
                unlabelled=[255],
            ),
            dict(type="PackSegInputs", meta_keys=("img_path", "seg_map_path", "ori_shape", "img_shape", "labelled")),
        ],
    ),
)
test_evaluator = dict(type="CLIPtraseMetric", ignore_index=254)
prepared_by = "coco_stuff164k"  # what makes these labels, for tools/prepare_data.py
unified = dict(
    prepared_by="coco_object",
    test_dataloader=dict(
        dataset=dict(
            seg_map_suffix="_instanceTrainIds.png",
            pipeline=_base_.test_dataloader.dataset.pipeline,
        ),
    ),
    test_evaluator=dict(type="SegmentationMetric", ignore_index="auto"),
)

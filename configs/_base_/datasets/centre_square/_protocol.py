# As leaves162/CLIPtrase @ 2b7de61 evaluates: the centre square of the resized image, at that size; images without any
# label are left out. A dataset adds its words, and its `relabel`, options that load_config writes into Relabel.
paper = dict(
    test_dataloader=dict(
        dataset=dict(
            pipeline=[
                dict(type="LoadImage"),
                dict(type="LoadLabels"),
                dict(type="CentreSquare", short_side=336),
                dict(type="Relabel"),
                dict(
                    type="PackSegInputs", meta_keys=("img_path", "seg_map_path", "ori_shape", "img_shape", "labelled")
                ),
            ],
        ),
    ),
    test_evaluator=dict(type="CLIPtraseMetric"),
)

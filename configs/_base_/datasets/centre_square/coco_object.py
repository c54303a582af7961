# As leaves162/CLIPtrase @ 2b7de61 evaluates the centre square (model.centre_square): images without any label are
# left out.
# "COCO80": COCO-Stuff's labels, of which the 80 things count, and as background what is unlabelled (255) or a banner
# (80); other stuff does not count at all.
_base_ = "../coco_object.py"
prepared_by = "coco_stuff164k"  # what makes these labels, for tfovss prepare
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Relabel", mapping={**{i: i + 1 for i in range(80)}, **dict.fromkeys(range(81, 171), 254), 80: 0}),
    dict(type="PackSegInputs", meta_keys=("img_path", "seg_map_path", "ori_shape", "img_shape")),
]
test_dataloader = dict(dataset=dict(seg_map_suffix="_labelTrainIds.png", pipeline=test_pipeline))
test_evaluator = dict(type="CLIPtraseMetric", relabel={255: 0}, unlabelled=[255], ignore_index=254)
unified = dict(
    prepared_by="coco_object",
    test_dataloader=dict(dataset=dict(seg_map_suffix="_instanceTrainIds.png")),
)

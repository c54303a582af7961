# "COCO80": COCO-Stuff's labels, of which the 80 things count, and as background what is unlabelled (255) or a banner
# (80); other stuff does not count at all.
_base_ = ["../coco_object.py", "./_protocol.py"]
relabel = dict(
    mapping={**{i: i + 1 for i in range(80)}, **dict.fromkeys(range(81, 171), 254), 80: 0, 255: 0},
    unlabelled=[255],
)
prepared_by = "coco_stuff164k"  # what makes these labels, for tools/prepare_data.py
paper = dict(
    test_dataloader=dict(dataset=dict(seg_map_suffix="_labelTrainIds.png")),
    test_evaluator=dict(ignore_index=254),
)
unified = dict(
    prepared_by="coco_object",
    test_dataloader=dict(dataset=dict(seg_map_suffix="_instanceTrainIds.png")),
    test_evaluator=dict(ignore_index="auto"),
)

_base_ = "./_loader.py"
dataset = "ade20k"
unified = dict(model=dict(decode_head=dict(vocabulary="ade20k")))
test_dataloader = dict(
    dataset=dict(
        type="ADE20KDataset",
        data_root="data/ade/ADEChallengeData2016",
        data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
    ),
)

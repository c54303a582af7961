_base_ = "./_loader.py"
dataset = "pocket_thing"
# The unified protocol at the scale of the pocket CLIP, which has learnt to read scenes and crops of 64 px.
unified = dict(
    model=dict(
        short_side=192,
        decode_head=dict(vocabulary="pocket_thing", prob_threshold=0.1),
        test_cfg=dict(crop_size=64, stride=32),
    ),
)
test_dataloader = dict(batch_size=8, num_workers=2, dataset=dict(type="PocketThingDataset", data_root="data/pocket"))

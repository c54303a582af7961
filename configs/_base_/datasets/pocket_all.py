_base_ = "./_loader.py"
dataset = "pocket_all"
# The unified protocol in the proportions of the real one (336, 224, 112): windows are as large as the CLIP's images.
unified = dict(
    model=dict(short_side=192, decode_head=dict(vocabulary="pocket_all"), test_cfg=dict(crop_size=128, stride=64)),
)
test_dataloader = dict(batch_size=8, dataset=dict(type="PocketAllDataset", data_root="data/pocket"))

_base_ = "./_loader.py"
dataset = "pocket_thing"
short_side = 192  # the pocket CLIP was trained on 64 px scenes
test_dataloader = dict(batch_size=8, num_workers=2, dataset=dict(type="PocketThingDataset", data_root="data/pocket"))

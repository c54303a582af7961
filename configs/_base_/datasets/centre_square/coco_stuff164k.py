# As leaves162/CLIPtrase @ 2b7de61 evaluates the centre square (model.centre_square): images without any label are
# left out.
_base_ = "../coco_stuff164k.py"
test_evaluator = dict(type="CLIPtraseMetric", unlabelled=[255])

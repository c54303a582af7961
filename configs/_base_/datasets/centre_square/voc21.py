# As leaves162/CLIPtrase @ 2b7de61 evaluates the centre square (model.centre_square): images without any label are
# left out.
# Void pixels around objects count as background.
_base_ = "../voc21.py"
test_evaluator = dict(type="CLIPtraseMetric", relabel={255: 0}, unlabelled=[0, 255])

# As leaves162/CLIPtrase @ 2b7de61 evaluates the centre square (model.centre_square).
_base_ = "../ade847.py"
test_evaluator = dict(type="CLIPtraseMetric")

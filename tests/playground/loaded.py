"""Small methods on the pocket CLIP for tests of the page, and a small image."""

import mmseg_tfovss as tf
from mmseg_tfovss.catalogue import find_method
from mmseg_tfovss.config import load_config
from mmseg_tfovss.playground.answer import Playground
from mmseg_tfovss.playground.choice import offered_methods
from mmseg_tfovss.playground.segmenters import Segmenters

SMALL = {"short_side": 96, "test_cfg": {"crop_size": 64, "stride": 32}, "templates": "photo"}


def pocket_config(method):
    return load_config(find_method(method, "ViT-B-16", pocket=True), {})


def load_small(method):
    return tf.load(method, pretrained="pocket", device="cpu", **SMALL)


def small_playground(longest=2048, load=load_small):
    return Playground(Segmenters(load, 4), offered_methods("pocket"), longest)

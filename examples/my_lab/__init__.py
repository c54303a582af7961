"""A method of your own, in a package of your own: nothing here lies inside mmseg_tfovss."""

from my_lab.edge_smoothing import EdgeSmoothing
from my_lab.sobel import SobelEdges

__all__ = ["EdgeSmoothing", "SobelEdges"]

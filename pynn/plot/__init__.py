"""The pictures people draw of multilayer perceptrons, with matplotlib.

`decision_regions` shows what a classifier says in two dimensions, `first_layer` the first layer's
weights as images, `network` the layers as a diagram, `confusion_matrix` which classes are taken for
which, and `learning_curve` how the loss went. Each draws into the Axes given to it or into a new
figure and returns the Axes; none shows anything by itself (``matplotlib.pyplot.show()`` does).
Colors are told apart with any kind of color vision, and never say anything alone: markers, line
styles or figures say the same.

matplotlib is imported by the first picture: ``pip install matplotlib``.
"""

from pynn.plot.confusion import confusion_matrix
from pynn.plot.curves import learning_curve
from pynn.plot.diagram import network
from pynn.plot.regions import decision_regions
from pynn.plot.weights import first_layer

__all__ = ["confusion_matrix", "decision_regions", "first_layer", "learning_curve", "network"]


def __dir__() -> list[str]:
    return __all__

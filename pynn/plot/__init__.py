"""Pictures of networks, with matplotlib.

`decision_regions` shows the predictions of a classifier over two features, `first_layer` the first
layer's weights as images, and `network` the layers as a diagram. `confusion_matrix` counts true and
predicted classes, and `learning_curve` shows the loss against the epoch. Each function draws into
the Axes given to it, or into a new figure, and returns the Axes. ``matplotlib.pyplot.show()``
displays them.

The colors can be distinguished with any kind of color vision. Markers, line styles or numbers carry
the same information.

The first picture imports matplotlib: ``pip install matplotlib``.
"""

from pynn.plot.confusion import confusion_matrix
from pynn.plot.curves import learning_curve
from pynn.plot.diagram import network
from pynn.plot.regions import decision_regions
from pynn.plot.weights import first_layer

__all__ = ["confusion_matrix", "decision_regions", "first_layer", "learning_curve", "network"]


def __dir__() -> list[str]:
    return __all__

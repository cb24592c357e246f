"""Other libraries' words for the arguments of layers, and of a network of layers."""

from pynn._keywords import ELSEWHERE

_INFERRED = "it is inferred: pass input_shape= to pynn.Sequential"
_AFFINE = "gamma and beta are always there; net.set_trainable(name, False) keeps them"
_ASSIGN = "assign the parameter in net.parameters after the network is made"
_NONE = "no such option exists here"
_TO_NETWORK = "pass it to pynn.Sequential"

# Keras', torch's and other keywords, and what takes their place: the first of the arguments that a
# layer has; a text with a space is said as it stands, where none of them is there.
PLACES: dict[str, tuple[str, ...]] = {
    "activation": ("function", "add pynn.layers.Activation after it"),
    "activity_regularizer": (_NONE,),
    "affine": (_AFFINE,),
    "axis": ("channels are the last axis",),
    "beta": ("width",),
    "beta_initializer": (_ASSIGN,),
    "bias_constraint": (_NONE,),
    "bias_initializer": (_ASSIGN,),
    "bias_regularizer": (_NONE,),
    "center": (_AFFINE,),
    "data_format": ("channels are the last axis",),
    "device": ("pynn computes on the CPU",),
    "dilation_rate": ("dilation",),
    "dropout": ("rate", "add pynn.layers.Dropout(rate) after it"),
    "dropout_rate": ("rate", "add pynn.layers.Dropout(rate) after it"),
    "dtype": (_TO_NETWORK,),
    "elementwise_affine": (_AFFINE,),
    "embedding_dim": ("units",),
    "embeddings_initializer": (_ASSIGN,),
    "embeddings_regularizer": (_NONE,),
    "eps": ("epsilon",),
    "f": ("function",),
    "fn": ("function",),
    "gamma": ("width",),
    "gamma_initializer": (_ASSIGN,),
    "in_channels": (_INFERRED,),
    "in_features": (_INFERRED,),
    "initializer": ("init", _ASSIGN),
    "inplace": (_NONE,),
    "input_dim": ("vocabulary", _INFERRED),
    "input_length": (_INFERRED,),
    "input_shape": (_TO_NETWORK,),
    "keepdims": ("pynn.layers.Reshape after it gives any shape",),
    "kernel_constraint": ("max_norm",),
    "kernel_initializer": ("init",),
    "kernel_regularizer": ("l2",),
    "mask_zero": (_NONE,),
    "max_norm_value": ("max_norm",),
    "n_centers": ("units",),
    "noise_shape": (_NONE,),
    "normalized_shape": ("channels are the last axis, and their number is inferred",),
    "num_embeddings": ("vocabulary",),
    "num_features": ("channels are the last axis, and their number is inferred",),
    "num_units": ("units",),
    "out_channels": ("filters",),
    "out_features": ("units",),
    "output_dim": ("units",),
    "p": ("rate",),
    "padding_idx": (_NONE,),
    "scale": (_AFFINE,),
    "seed": (_TO_NETWORK,),
    "sequence_length": (_INFERRED,),
    "sigma": ("width",),
    "size": ("units", "shape", "kernel_size", "pool_size"),
    "stride": ("strides",),
    "target_shape": ("shape",),
    "track_running_stats": ("they always follow the mini-batches of training",),
    "trainable": ("call net.set_trainable(name, False)",),
    "use_bias": ("bias",),
    "vocab_size": ("vocabulary",),
    "weight_decay": ("l2", "pass an optimizer such as pynn.AdamW(weight_decay=0.01)"),
    "weights": (_ASSIGN,),
    "widths": ("width",),
}

_LAYERS = "pass layers, such as [pynn.layers.Dense(100, 'relu'), pynn.layers.Dense(3)]"
_TO_DENSE = "pass it to a layer, such as pynn.layers.Dense"

# The same for `pynn.Sequential`.
NETWORK_PLACES: dict[str, tuple[str, ...]] = {
    **{keyword: (cure,) for keyword, cure in ELSEWHERE.items()},
    **dict.fromkeys(("activation", "bias", "init", "l1", "l2", "max_norm"), (_TO_DENSE,)),
    **dict.fromkeys(("hidden", "hidden_layer_sizes", "layer_sizes", "sizes", "units"), (_LAYERS,)),
    "batch_input_shape": ("input_shape",),
    "criterion": ("loss",),
    "device": ("pynn computes on the CPU",),
    "dropout": ("put pynn.layers.Dropout(rate) among the layers",),
    "in_features": ("input_shape",),
    "input_dim": ("input_shape",),
    "lr": ("pass learning_rate= to fit, or an optimizer such as pynn.Adam(0.001)",),
    "name": (_NONE,),
    "random_state": ("seed",),
    "rng": ("seed",),
    "shape": ("input_shape",),
    "trainable": ("call net.set_trainable(name, False)",),
}

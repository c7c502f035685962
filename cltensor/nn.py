"""tf.nn: activations, softmax and cross entropies, normalisation, embeddings."""

from cltensor.ops.dropout import dropout
from cltensor.ops.functions import (
    elu, leaky_relu, log_sigmoid, relu, relu6, selu, sigmoid, softplus, softsign, tanh,
)
from cltensor.ops.nn import (
    bias_add, embedding_lookup, l2_loss, l2_normalize, log_softmax, moments, softmax,
)

__all__ = [
    "bias_add", "dropout", "elu", "embedding_lookup", "l2_loss", "l2_normalize", "leaky_relu",
    "log_sigmoid", "log_softmax", "moments", "relu", "relu6", "selu", "sigmoid", "softmax",
    "softplus", "softsign", "tanh",
]

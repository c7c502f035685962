"""tf.nn: activations, softmax and cross entropies, normalisation, embeddings."""

from cltensor.ops.cross_entropy import (
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits_v2,
    sparse_softmax_cross_entropy_with_logits,
)
from cltensor.ops.dropout import dropout
from cltensor.ops.functions import (
    elu,
    gelu,
    leaky_relu,
    log_sigmoid,
    relu,
    relu6,
    selu,
    sigmoid,
    softplus,
    softsign,
    tanh,
)
from cltensor.ops.nn import (
    bias_add,
    embedding_lookup,
    l2_loss,
    l2_normalize,
    log_softmax,
    moments,
    softmax,
)

__all__ = [
    "bias_add", "dropout", "elu", "embedding_lookup", "gelu", "l2_loss", "l2_normalize",
    "leaky_relu", "log_sigmoid", "log_softmax", "moments", "relu", "relu6", "selu", "sigmoid",
    "sigmoid_cross_entropy_with_logits", "softmax", "softmax_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits_v2", "softplus", "softsign",
    "sparse_softmax_cross_entropy_with_logits", "tanh",
]

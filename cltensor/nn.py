"""tf.nn: activations, softmax and cross entropies, normalisation, embeddings."""

from typing import TYPE_CHECKING

from cltensor.base import optional as _optional
from cltensor.ops.batch_norm import batch_normalization, fused_batch_norm
from cltensor.ops.conv import (
    conv2d,
    conv2d_backprop_filter,
    conv2d_backprop_input,
    conv2d_transpose,
)
from cltensor.ops.cross_entropy import (
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits_v2,
    sparse_softmax_cross_entropy_with_logits,
)
from cltensor.ops.depthwise import (
    atrous_conv2d,
    conv1d,
    depthwise_conv2d,
    depthwise_conv2d_native,
    separable_conv2d,
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
from cltensor.ops.pool import avg_pool, max_pool, pool
from cltensor.ops.sort import in_top_k, top_k

if TYPE_CHECKING:
    from cltensor.keras import rnn_cell
    from cltensor.keras.rnn import dynamic_rnn, static_rnn
    from cltensor.ops.candidates import log_uniform_candidate_sampler, nce_loss, sampled_softmax_loss

# The recurrent ones bring all of keras along; few programs sample classes.
__getattr__, __dir__ = _optional.later(__name__, {
    "rnn_cell": "cltensor.keras.rnn_cell", "dynamic_rnn": "cltensor.keras.rnn:dynamic_rnn",
    "static_rnn": "cltensor.keras.rnn:static_rnn"} | {name: f"cltensor.ops.candidates:{name}" for name in (
        "log_uniform_candidate_sampler", "nce_loss", "sampled_softmax_loss")})

__all__ = [
    "atrous_conv2d", "avg_pool", "batch_normalization", "bias_add", "conv1d", "conv2d",
    "conv2d_backprop_filter", "conv2d_backprop_input", "conv2d_transpose", "depthwise_conv2d",
    "depthwise_conv2d_native", "dropout", "dynamic_rnn", "elu", "embedding_lookup",
    "fused_batch_norm", "gelu", "in_top_k", "l2_loss", "l2_normalize", "leaky_relu", "log_sigmoid",
    "log_softmax", "log_uniform_candidate_sampler", "max_pool", "moments", "nce_loss", "pool", "relu", "relu6",
    "rnn_cell", "sampled_softmax_loss", "selu",
    "separable_conv2d", "sigmoid", "sigmoid_cross_entropy_with_logits", "softmax",
    "softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits_v2", "softplus",
    "softsign", "sparse_softmax_cross_entropy_with_logits", "static_rnn", "tanh", "top_k",
]

"""cltensor: TensorFlow's eager-execution programming model on any OpenCL device.

This is the table of contents: it re-exports, and defines nothing.

    import cltensor as tf
    print(tf.matmul([[2.]], [[2.]]))
"""

from typing import TYPE_CHECKING

from cltensor import errors, initializers, linalg, math, nest, nn, random
from cltensor.core import mode as _mode
from cltensor.interpret import trial as _trial
from cltensor.ops import operators as _operators
from cltensor.ops import update as _update      # noqa: F401 (waiting blocks number their instructions by its rows)
from cltensor.autodiff.custom import custom_gradient
from cltensor.autodiff.tape import GradientTape, UnconnectedGradients
from cltensor.base import optional as _optional
from cltensor.base.dtypes import (
    DType, as_dtype, bool_ as bool, float16, float16 as half, float32, float64, float64 as double,
    int16, int32, int64, int8, uint8,
)
from cltensor.base.shapes import Dimension, TensorShape
from cltensor.core.indexed_slices import IndexedSlices
from cltensor.core.mode import (
    device, disable_eager_execution, enable_eager_execution, executing_eagerly,
)
from cltensor.core.numerics import check_numerics, numerics_check
from cltensor.core.tensor import Tensor, constant
from cltensor.graph.function import defun as function
from cltensor.graph.building import (
    control_dependencies, gradients, group, no_op, placeholder, placeholder_with_default,
)
from cltensor.graph.checks import (
    Assert, Print, assert_equal, assert_greater, assert_greater_equal, assert_integer, assert_less,
    assert_less_equal, assert_near, assert_negative, assert_non_negative, assert_non_positive,
    assert_none_equal, assert_positive, assert_rank, assert_rank_at_least, assert_rank_in,
    assert_scalar, assert_type, print_tensors as print,
)
from cltensor.graph.collections import (
    GraphKeys, add_to_collection, add_to_collections, get_collection, get_collection_ref,
)
from cltensor.graph.control import case, cond
from cltensor.graph.graph import Graph, Operation, get_default_graph, reset_default_graph
from cltensor.graph.loops import while_loop
from cltensor.graph.mapping import foldl, foldr, map_fn, scan
from cltensor.graph.names import name_scope
from cltensor.graph.py_func import numpy_func as py_func
from cltensor.graph.session import InteractiveSession, Session, get_default_session
from cltensor.graph.tensor_spec import TensorSpec
from cltensor.graph.variables import (
    all_variables, assert_variables_initialized, global_variables, global_variables_initializer,
    initialize_all_variables, initialize_variables, is_variable_initialized, local_variables,
    local_variables_initializer, model_variables, moving_average_variables,
    report_uninitialized_variables, trainable_variables, variables_initializer,
)
from cltensor.initializers import (
    constant_initializer, glorot_normal_initializer, glorot_uniform_initializer, ones_initializer,
    orthogonal_initializer, random_normal_initializer, random_uniform_initializer,
    truncated_normal_initializer, uniform_unit_scaling_initializer, variance_scaling_initializer, zeros_initializer,
)
from cltensor.ops.array import (
    broadcast_to, expand_dims, identity, matrix_transpose, reshape, squeeze, stop_gradient, tile,
    transpose,
)
from cltensor.ops.clip import clip_by_average_norm, clip_by_global_norm, clip_by_norm, global_norm
from cltensor.ops.convert import (
    convert_to_tensor, is_tensor, to_double, to_float, to_int32, to_int64,
)
from cltensor.ops.counting import (
    bincount, confusion_matrix, dynamic_partition, dynamic_stitch, histogram_fixed_width,
)
from cltensor.ops.creation import (
    eye, fill, lin_space, linspace, ones, ones_like, range, rank, shape, shape_n, size, zeros,
    zeros_like,
)
from cltensor.ops.decompositions import (
    cholesky, cholesky_solve, matrix_determinant, matrix_inverse, matrix_solve, matrix_triangular_solve, qr,
    self_adjoint_eig, self_adjoint_eigvals, svd,
)
from cltensor.ops.diagonal import (
    depth_to_space, diag, diag_part, matrix_band_part, matrix_diag, matrix_diag_part, matrix_set_diag, repeat,
    reverse_sequence, roll, sequence_mask, space_to_depth, trace,
)
from cltensor.ops.einsum import einsum
from cltensor.ops.functions import (
    acos, acosh, asin, asinh, atan, atan2, atanh, ceil, cos, cosh, erf, erfc, exp, expm1, floor,
    log, log1p, log_sigmoid, reciprocal, rint, round, rsqrt, sigmoid, sin, sinh, sqrt, tan, tanh,
)
from cltensor.ops.gather import gather, gather_nd, scatter_nd, segment_sum, unsorted_segment_sum
from cltensor.ops.index import newaxis
from cltensor.ops.join import concat, split, stack, unstack
from cltensor.ops.linalg import matmul, matvec, norm, tensordot
from cltensor.ops.math import (
    abs, add, add_n, cast, clip_by_value, div, divide, equal, floordiv, floormod, greater,
    greater_equal, is_finite, is_inf, is_nan, less, less_equal, logical_and, logical_not,
    logical_or, logical_xor, maximum, minimum, mod, multiply, negative, not_equal, pow, realdiv,
    saturate_cast, sign, square, squared_difference, subtract, truediv, truncatediv,
)
from cltensor.ops.random import (
    multinomial, random_crop, random_normal, random_shuffle, random_uniform, set_random_seed,
    truncated_normal,
)
from cltensor.ops.reduce import (
    reduce_all, reduce_any, reduce_logsumexp, reduce_max, reduce_mean, reduce_min, reduce_prod,
    reduce_sum,
)
from cltensor.ops.scan import argmax, argmin, cumprod, cumsum
from cltensor.ops.selection import (
    boolean_mask, decode_raw, invert_permutation, meshgrid, one_hot, unique,
)
from cltensor.ops.sort import argsort, sort
from cltensor.ops.slicing import pad, reverse, reverse_v2, slice, strided_slice
from cltensor.ops.tensor_array import TensorArray
from cltensor.ops.variable import Variable, assign, assign_add, assign_sub
from cltensor.ops.where import where
from cltensor.program.settings import ConfigProto, DeviceSpec, GPUOptions, RunMetadata, RunOptions
from cltensor.variable_scope import (
    AUTO_REUSE, VariableScope, get_variable, get_variable_scope, no_regularizer, variable_op_scope,
    variable_scope,
)
from cltensor.runtime.device import memory_stats, set_soft_device_placement
from cltensor.runtime.queue import no_host_reads

if TYPE_CHECKING:
    from cltensor import (
        app, contrib, data, estimator, flags, gfile, keras, layers, logging, losses, metrics, profiler, saved_model,
        summary, test, train,
    )
    from cltensor.summary.classic import Summary

__version__ = "0.1.0"
# Namespaces that many programs do without are imported when they are first asked for.
__getattr__, __dir__ = _optional.later(__name__, {name: f"{__name__}.{name}" for name in (
    "app", "contrib", "data", "estimator", "flags", "gfile", "keras", "layers", "logging", "losses", "metrics",
    "profiler", "saved_model", "summary", "test", "train")} | {"Summary": "cltensor.summary.classic:Summary"})
_operators.install()
_mode.start()

__all__ = [
    "AUTO_REUSE", "Assert", "ConfigProto", "DType", "DeviceSpec", "Dimension", "GPUOptions",
    "GradientTape", "Graph", "GraphKeys", "IndexedSlices", "InteractiveSession", "Operation",
    "Print", "RunMetadata", "RunOptions", "Session", "Summary", "Tensor", "TensorShape",
    "TensorSpec", "UnconnectedGradients", "Variable",
    "VariableScope", "abs", "acos", "acosh", "add", "add_n", "add_to_collection",
    "add_to_collections", "all_variables", "app", "argmax", "argmin", "argsort", "as_dtype",
    "asin", "asinh", "assert_equal", "assert_greater", "assert_greater_equal", "assert_integer",
    "assert_less", "assert_less_equal", "assert_near", "assert_negative", "assert_non_negative",
    "assert_non_positive", "assert_none_equal", "assert_positive", "assert_rank",
    "assert_rank_at_least", "assert_rank_in", "assert_scalar", "assert_type",
    "assert_variables_initialized", "assign", "assign_add", "assign_sub", "atan", "atan2",
    "atanh", "bincount", "bool", "boolean_mask", "broadcast_to", "case", "cast", "ceil",
    "check_numerics", "cholesky", "cholesky_solve", "clip_by_average_norm", "clip_by_global_norm",
    "clip_by_norm", "clip_by_value", "concat", "cond", "confusion_matrix", "constant",
    "constant_initializer", "contrib", "control_dependencies", "convert_to_tensor", "cos", "cosh",
    "cumprod", "cumsum", "custom_gradient", "data", "decode_raw", "depth_to_space", "device",
    "diag", "diag_part", "disable_eager_execution", "div", "divide", "double",
    "dynamic_partition", "dynamic_stitch", "einsum", "enable_eager_execution", "equal", "erf",
    "erfc", "errors", "estimator", "executing_eagerly", "exp", "expand_dims", "expm1", "eye",
    "fill", "flags", "float16", "float32", "float64", "floor", "floordiv", "floormod", "foldl",
    "foldr", "function", "gather", "gather_nd", "get_collection", "get_collection_ref",
    "get_default_graph", "get_default_session", "get_variable", "get_variable_scope", "gfile",
    "global_norm", "global_variables", "global_variables_initializer",
    "glorot_normal_initializer", "glorot_uniform_initializer", "gradients", "greater",
    "greater_equal", "group", "half", "histogram_fixed_width", "identity",
    "initialize_all_variables", "initialize_variables", "initializers", "int16", "int32", "int64",
    "int8", "invert_permutation", "is_finite", "is_inf", "is_nan", "is_tensor",
    "is_variable_initialized", "keras", "layers", "less", "less_equal", "lin_space", "linalg", "linspace",
    "local_variables", "local_variables_initializer", "log", "log1p", "log_sigmoid", "logging",
    "logical_and", "logical_not", "logical_or", "logical_xor", "losses", "map_fn", "math",
    "matmul", "matrix_band_part", "matrix_determinant", "matrix_diag", "matrix_diag_part",
    "matrix_inverse", "matrix_set_diag", "matrix_solve", "matrix_transpose",
    "matrix_triangular_solve", "matvec", "maximum", "memory_stats", "meshgrid", "metrics",
    "minimum", "mod", "model_variables", "moving_average_variables", "multinomial", "multiply",
    "name_scope", "negative", "nest", "newaxis", "nn", "no_host_reads", "no_op", "no_regularizer",
    "norm", "not_equal", "numerics_check", "one_hot", "ones", "ones_initializer", "ones_like",
    "orthogonal_initializer", "pad", "placeholder", "placeholder_with_default", "pow", "print", "profiler",
    "py_func", "qr", "random", "random_crop", "random_normal", "random_normal_initializer",
    "random_shuffle", "random_uniform", "random_uniform_initializer", "range", "rank", "realdiv",
    "reciprocal", "reduce_all", "reduce_any", "reduce_logsumexp", "reduce_max", "reduce_mean",
    "reduce_min", "reduce_prod", "reduce_sum", "repeat", "report_uninitialized_variables",
    "reset_default_graph", "reshape", "reverse", "reverse_sequence", "reverse_v2", "rint", "roll",
    "round", "rsqrt", "saturate_cast", "saved_model", "scan", "scatter_nd", "segment_sum",
    "self_adjoint_eig", "self_adjoint_eigvals", "sequence_mask", "set_random_seed",
    "set_soft_device_placement", "shape", "shape_n", "sigmoid", "sign", "sin", "sinh", "size",
    "slice", "sort", "space_to_depth", "split", "sqrt", "square", "squared_difference", "squeeze",
    "stack", "stop_gradient", "strided_slice", "subtract", "summary", "svd", "tan", "tanh",
    "tensordot", "test", "tile", "to_double", "to_float", "to_int32", "to_int64", "trace", "train",
    "trainable_variables", "transpose", "truediv", "truncated_normal",
    "truncated_normal_initializer", "truncatediv", "uint8", "uniform_unit_scaling_initializer",
    "unique", "unsorted_segment_sum", "unstack", "variable_op_scope", "variable_scope",
    "variables_initializer", "variance_scaling_initializer", "where", "while_loop", "zeros",
    "zeros_initializer", "zeros_like",
]

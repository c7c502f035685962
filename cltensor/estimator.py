"""tf.estimator: the mode keys that model functions share; estimators themselves are not part of cltensor."""

from cltensor.program.settings import ModeKeys

__all__ = ["ModeKeys"]

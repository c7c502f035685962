"""tf.test: a TestCase that compares tensors, for programs' own tests."""

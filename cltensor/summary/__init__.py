"""tf.summary: summaries for TensorBoard as values. Those that write themselves are in tf.contrib.summary."""

from cltensor.summary.classic import FileWriter, Summary, histogram, image, merge, merge_all, scalar

__all__ = ["FileWriter", "Summary", "histogram", "image", "merge", "merge_all", "scalar"]

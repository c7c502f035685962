"""tf.data: input pipelines."""

from cltensor.data.dataset import Dataset
from cltensor.data.files import FixedLengthRecordDataset, TextLineDataset
from cltensor.data.idx import read_idx
from cltensor.data.iterator import Iterator

__all__ = ["Dataset", "FixedLengthRecordDataset", "Iterator", "TextLineDataset", "read_idx"]

"""tf.contrib.checkpoint: containers a checkpoint sees into; plain lists and dicts are seen into as well."""

List = list
Mapping = dict

__all__ = ["List", "Mapping"]

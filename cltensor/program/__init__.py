"""What a program around the tensors needs: its start, flags, files, log, and bags of settings."""

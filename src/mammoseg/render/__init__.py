"""From DICOM files to the 16-bit pictures and masks of one shard."""

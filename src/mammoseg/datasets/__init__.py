"""Releases on disk, each behind the interface of `mammoseg.datasets.importer`."""

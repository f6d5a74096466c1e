"""What a release holds: one row per usable image, one per file that is set aside."""

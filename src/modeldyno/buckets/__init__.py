"""HOW BYTES COME IN AND GO OUT: S3's API over the directory of objects."""

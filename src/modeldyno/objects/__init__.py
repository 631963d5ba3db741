"""Where bytes are kept: s3 URLs, in a directory or in S3."""

"""What has been generated, in SQL, filled from closed streams."""

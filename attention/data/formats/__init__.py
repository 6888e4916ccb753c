"""What tables are written in: each file here makes rows of the content of a file of one format."""

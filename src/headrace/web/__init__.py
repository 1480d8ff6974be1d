"""The pages: built files, and what serves them."""

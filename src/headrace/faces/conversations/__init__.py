"""The page's conversations."""

"""One adapter for each library, which it alone imports."""

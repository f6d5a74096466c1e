"""Tools for pictures: letterbox, breast, PNG files, similarity."""

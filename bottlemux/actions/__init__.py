"""The one catalogue of what a person can do: it feeds the palette, and is made to feed keys and menus too."""

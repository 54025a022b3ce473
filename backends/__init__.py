"""What runs bottles, behind one contract."""

"""Features: what a layer or a normalization makes, where it goes, and which changes of it its readers can take back."""

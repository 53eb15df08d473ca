"""What `fold_qdq` is made of: demands on float values, what is known of them, sums of products, tables."""

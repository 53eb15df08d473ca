"""Pictures of graphs, coloured by bit width: layout, SVG, and a page that needs nothing else."""

"""The experiments of arXiv 2507.11417: as published, with the same assumptions, corrected, and by bytes and FLOP."""

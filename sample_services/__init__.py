"""Small services with rules and ledgers of their own, directed by a coordinator or by events alone."""

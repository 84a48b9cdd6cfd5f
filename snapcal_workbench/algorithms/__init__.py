"""The algorithms: the same in every host. `catalogue.ALGORITHMS` lists them."""

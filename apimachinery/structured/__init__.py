"""Field sets and merging by list and map types: what server-side apply and managed fields are made of."""

"""Search among very many plans: a thousand sites, dozens of target types. Arrays first, the printed model last."""

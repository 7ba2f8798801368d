"""Networks as the world writes them: the mask tricks, layouts and return values of public repositories, each with a few
thousand weights. Written for these tests; nothing here is copied."""

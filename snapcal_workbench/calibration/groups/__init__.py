"""The group step: the groups on the absolute scale by the known reflections, and quality figures."""

"""Following one orbit from a saddle to the next critical point: steps, polishing, and where it leads."""

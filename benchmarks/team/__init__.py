"""Many people who type, against the team's service over HTTP: load, scaling, and what both are made of."""

"""Where things are at the facility and what they say: runs, states, geometry, groupings, calibrants."""

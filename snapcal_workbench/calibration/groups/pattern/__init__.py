"""The joint fit of all groups' patterns; see docs/group-model.md."""

"""The iterations of a session: what came of each, its folder, and which workspaces are theirs."""

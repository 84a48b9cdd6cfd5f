"""Parts that views and dialogs are made of."""

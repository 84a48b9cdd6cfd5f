"""The form: what is calibrated, and how."""

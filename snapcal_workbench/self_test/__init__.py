"""Does the plugin work in this Mantid? `page` asks process by process (`checks`), and prints one page to send."""

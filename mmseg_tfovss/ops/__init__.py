"""Pure tensor functions shared by the papers."""

"""What full-screen views share: work beside the screen, and text that is safe to show."""

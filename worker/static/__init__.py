"""What static files need: ranges and conditions, footers, and pages with includes."""
